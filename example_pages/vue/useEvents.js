import { onScopeDispose, ref, toValue, watchEffect } from "vue";

/**
 * Events of a stream, newest first.
 *
 * close() stops; restart() goes on after the last event that was seen; isStopped tells whether
 * nothing will come any more, also because the server said so. The URL may be a ref.
 */
export function useEvents(url, type, limit = 50) {
  const events = ref([]);
  const isStopped = ref(false);
  let source;
  let lastId = "";

  function open(address) {
    source?.close();
    isStopped.value = false;
    source = new EventSource(withLastId(address, lastId));
    source.addEventListener(type, (event) => {
      lastId = event.lastEventId;
      const data = JSON.parse(event.data);
      events.value = [{ id: lastId, data }, ...events.value].slice(0, limit);
    });
    source.addEventListener("stream-end", close);
    source.onerror = () => {
      // CONNECTING: the browser tries again by itself, and tells the server the last id.
      if (source.readyState === EventSource.CLOSED) isStopped.value = true;
    };
  }

  function close() {
    source.close();
    isStopped.value = true;
  }

  const restart = () => open(toValue(url));
  watchEffect(restart);
  // When the component is taken away.
  onScopeDispose(close);
  return { events, restart, close, isStopped };
}

// A new EventSource cannot set the header Last-Event-ID. The server reads this parameter, too.
function withLastId(url, id) {
  return id ? `${url}?${new URLSearchParams({ lastEventId: id })}` : url;
}
