import { fetchEventSource } from "@microsoft/fetch-event-source";

// Its defaults: after a clean end it is finished, after any other it comes back.
fetchEventSource("/returning/fetch-event-source/events", {
  onmessage({ event, data, id }) {
    seen["fetch-event-source"].push([event || "message", data, id]);
  },
}).then(
  () => (ended["fetch-event-source"] = "end"),
  (error) => (ended["fetch-event-source"] = String(error)),
);
