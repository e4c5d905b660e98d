// Lets clients read streams, all at the same time: node run.mjs URL CLIENT:SCENARIO...
// Prints a line of JSON for each: what its application saw, and how the stream ended for it.

// @ag-ui/client 1.0.0 leaves rejections unhandled beside the one that it returns.
process.on("unhandledRejection", (error) => console.error(error));

const [url, ...runs] = process.argv.slice(2);

// All are loaded before the first of them asks: one that came late would be given the connection of
// another that has finished, when the server is about to close it, and fail.
const clients = {};
for (const name of runs) {
  const client = name.split(":")[0];
  clients[client] ??= await import(`./${client}.mjs`);
}

async function run(name) {
  const [client, scenario] = name.split(":");
  const seen = [];
  let ended = "end";
  try {
    await clients[client].read(url, scenario, seen);
  } catch (error) {
    ended = `${error.constructor.name}: ${error.message}`;
  }
  console.log(JSON.stringify({ name, seen, ended }));
}

await Promise.all(runs.map(run));
process.exit(); // A client may have left a timer.
