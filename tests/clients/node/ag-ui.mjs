import { HttpAgent } from "@ag-ui/client";

export async function read(url, scenario, seen) {
  const agent = new HttpAgent({ url: `${url}/${scenario}/agent`, threadId: "thread-1" });
  await agent.runAgent({ runId: "run-1" }, { onEvent: ({ event }) => void seen.push(event) });
}
