import { useCallback, useEffect, useRef, useState } from "react";

/**
 * Events of a stream, newest first.
 *
 * close() stops; restart() goes on after the last event that was seen; isStopped tells whether
 * nothing will come any more, also because the server said so.
 */
export function useEvents(url, type, limit = 50) {
  const [events, setEvents] = useState([]);
  const [isStopped, setStopped] = useState(false);
  const [attempt, setAttempt] = useState(0);
  const lastId = useRef("");

  useEffect(() => {
    if (isStopped) return undefined;
    const source = new EventSource(withLastId(url, lastId.current));
    source.addEventListener(type, (event) => {
      lastId.current = event.lastEventId;
      const data = JSON.parse(event.data);
      setEvents((seen) => [{ id: event.lastEventId, data }, ...seen].slice(0, limit));
    });
    source.addEventListener("stream-end", () => setStopped(true));
    source.onerror = () => {
      // CONNECTING: the browser tries again by itself, and tells the server the last id.
      if (source.readyState === EventSource.CLOSED) setStopped(true);
    };
    // Also when the component is taken away, and when something above has changed.
    return () => source.close();
  }, [url, type, limit, isStopped, attempt]);

  const close = useCallback(() => setStopped(true), []);
  const restart = useCallback(() => {
    setStopped(false);
    setAttempt((number) => number + 1);
  }, []);
  return { events, restart, close, isStopped };
}

// A new EventSource cannot set the header Last-Event-ID. The server reads this parameter, too.
function withLastId(url, id) {
  return id ? `${url}?${new URLSearchParams({ lastEventId: id })}` : url;
}
