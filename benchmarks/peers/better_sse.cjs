/* better-sse on Node's own server: a session per client, and a channel. */
const http = require("node:http");
const { setTimeout: sleep } = require("node:timers/promises");
const { createChannel, createSession } = require("better-sse");

const port = Number(process.argv[2]);
const size = Number(process.env.DATA);
const keepAlive = Number(process.env.HEARTBEAT) * 1000;
const channel = createChannel();

/* The same as in pace.py; both clocks are the machine's monotonic one. */
async function publish(n, pause) {
  const begun = process.hrtime.bigint();
  for (let number = 0; number < n; number++) {
    const due = begun + BigInt(number * pause) * 1000000n;
    const left = Number(due - process.hrtime.bigint()) / 1e6;
    if (left > 0) await sleep(left);
    channel.broadcast(("@" + String(due).padStart(19, "0")).padEnd(size, "0"), "message");
  }
}

async function answer(request, response) {
  const url = new URL(request.url, "http://localhost");
  if (url.pathname === "/events") {
    channel.register(await createSession(request, response, { keepAlive }));
    return;
  }
  if (url.pathname === "/publish")
    await publish(Number(url.searchParams.get("n")), Number(url.searchParams.get("pause")));
  response.end("ok");
}

http.createServer(answer).listen({ port, host: "127.0.0.1", backlog: 4096 });
