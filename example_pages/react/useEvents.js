import { useCallback, useEffect, useRef, useState } from "react";

/**
 * Events of one type of a stream, newest first, as { key, id, data }.
 *
 * state is "connecting", "open", "reconnecting" (the browser tries again by itself) or "closed".
 * isStopped tells whether it is closed: by close(), or because the server said so.
 * restart() opens the stream anew, after the last event that was seen.
 */
export function useEvents(url, type, limit = 50) {
  const [events, setEvents] = useState([]);
  const [state, setState] = useState("connecting");
  const source = useRef(null);
  const lastId = useRef("");
  const count = useRef(0);

  const close = useCallback(() => {
    source.current.close();
    setState("closed");
  }, []);

  const restart = useCallback(() => {
    source.current?.close();
    setState("connecting");
    const opened = new EventSource(withLastId(url, lastId.current));
    source.current = opened;
    opened.onopen = () => setState("open");
    opened.onerror = () => {
      // CONNECTING: the browser retries, and sends the last id.
      setState(opened.readyState === EventSource.CLOSED ? "closed" : "reconnecting");
    };
    opened.addEventListener(type, (event) => {
      if (event.lastEventId) lastId.current = event.lastEventId;
      // An event without an id has that of the event before, so the id cannot be the key.
      count.current += 1;
      const item = { key: count.current, id: event.lastEventId, data: JSON.parse(event.data) };
      setEvents((seen) => [item, ...seen].slice(0, limit));
    });
    // Without this, the browser would reconnect once, and a 204 would tell it to stop.
    opened.addEventListener("stream-end", close);
  }, [url, type, limit, close]);

  useEffect(() => {
    // It is new, or now reads another stream, of which it has seen nothing.
    lastId.current = "";
    setEvents([]);
    restart();
    return () => source.current.close();
  }, [restart]);

  return { events, state, isStopped: state === "closed", restart, close };
}

// A new EventSource cannot set the Last-Event-ID header. The server also reads this parameter.
function withLastId(url, id) {
  const address = new URL(url, document.baseURI);
  if (id) address.searchParams.set("lastEventId", id);
  return address;
}
