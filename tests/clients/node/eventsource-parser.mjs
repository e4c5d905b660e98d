import { EventSourceParserStream } from "eventsource-parser/stream";

export async function read(url, scenario, seen) {
  if (scenario === "returning") return comeBack(`${url}/returning/eventsource-parser/events`, seen);
  const asked = { method: "POST", body: "{}" };
  for await (const event of parsed(await fetch(`${url}/${scenario}/v1/messages`, asked))) {
    seen.push([event.event ?? "message", event.data, event.id ?? ""]);
  }
}

// An application's loop: a broken connection brings it back, a clean end does not.
async function comeBack(url, seen) {
  let last = "";
  let retry = 1000;
  const onRetry = (milliseconds) => (retry = milliseconds);
  for (let attempts = 0; attempts < 20; attempts++) {
    try {
      const headers = { Accept: "text/event-stream", ...(last && { "Last-Event-ID": last }) };
      const response = await fetch(url, { headers });
      for await (const event of parsed(response, onRetry)) {
        seen.push([event.event ?? "message", event.data, event.id ?? ""]);
        last = event.id ?? last;
      }
      return;
    } catch (error) {
      if (error.name !== "TypeError") throw error; // fetch's network errors are TypeErrors.
      await new Promise((resolve) => setTimeout(resolve, retry));
    }
  }
}

function parsed(response, onRetry) {
  if (response.status !== 200) throw new Error(`status ${response.status}`);
  return response.body
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new EventSourceParserStream({ onRetry }));
}
