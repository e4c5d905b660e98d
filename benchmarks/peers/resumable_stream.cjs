/* resumable-stream on Node's own server; the same jobs as in jobs_app.py. */
const http = require("node:http");
const { setTimeout: sleep } = require("node:timers/promises");
const { createResumableStreamContext } = require("resumable-stream");

const port = Number(process.argv[2]);
const size = Number(process.env.DATA);
/* The server stays anyway, so nothing has to wait for the streams. */
const streams = createResumableStreamContext({ waitUntil: () => {} });

/* Of Redis's answers that took too long, which it does not handle; Node would end. */
process.on("unhandledRejection", (error) => console.error(error.stack));

function makeRound() {
  const round = { n: 0, pause: 0, at: 0n };
  round.begun = new Promise((resolve) => (round.begin = resolve));
  return round;
}

const rounds = [makeRound()];

async function* tokens(share) {
  yield "data: ready\n\n";
  for (let at = rounds.length - 1; ; at++) {
    const round = rounds[at];
    await round.begun;
    if (!round.n) return sleep(share * round.pause);
    for (let number = 0; number < round.n; number++) {
      const due = round.at + BigInt(Math.trunc((share + number) * round.pause * 1e6));
      const left = Number(due - process.hrtime.bigint()) / 1e6;
      if (left > 0) await sleep(left);
      yield "data: " + ("@" + String(due).padStart(19, "0")).padEnd(size, "0") + "\n\n";
    }
  }
}

/* It gives up when the producer, here the same process, takes a second to answer. */
async function attach(key, tries = 5) {
  try {
    return await streams.resumeExistingStream(key);
  } catch (error) {
    console.error(error.stack);
    if (tries === 1) throw error;
    return attach(key, tries - 1);
  }
}

async function answer(request, response) {
  const url = new URL(request.url, "http://localhost");
  const [, what, name, number] = url.pathname.split("/");
  const of = Number(url.searchParams.get("of"));
  if (what === "start" || what === "attach") {
    const key = `${name}-${number % of}`;
    const stream = await (what === "start"
      ? streams.createNewResumableStream(key, () => ReadableStream.from(tokens(number / of)))
      : attach(key));
    response.writeHead(stream ? 200 : 204, { "Content-Type": "text/event-stream" });
    for await (const chunk of stream ?? []) response.write(chunk);
    response.end();
    return;
  }
  if (what === "publish") {
    const round = rounds.at(-1);
    round.n = Number(url.searchParams.get("n"));
    round.pause = Number(url.searchParams.get("pause"));
    round.at = process.hrtime.bigint() + 500000000n;
    rounds.push(makeRound());
    round.begin();
  }
  response.end("ok");
}

http.createServer(answer).listen({ port, host: "127.0.0.1", backlog: 4096 });
