import { EventSource } from "eventsource";

const TYPES = ["message", "third", "stream-open", "stream-error", "stream-reset", "stream-end"];

export async function read(url, scenario, seen) {
  const source = new EventSource(`${url}/${scenario}/eventsource/events`);
  const note = ({ type, data, lastEventId }) => seen.push([type, data, lastEventId]);
  for (const type of TYPES) source.addEventListener(type, note);
  // Between two connections it does not keep the process alive.
  const alive = setInterval(() => {}, 1000);
  await new Promise((resolve) => {
    source.addEventListener("error", () => source.readyState === EventSource.CLOSED && resolve());
  });
  clearInterval(alive);
}
