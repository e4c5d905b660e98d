import { computed, onScopeDispose, ref, shallowRef, toValue, watch } from "vue";

/**
 * Events of one type of a stream, newest first, as { key, id, data }.
 *
 * state is "connecting", "open", "reconnecting" (the browser tries again by itself) or "closed".
 * isStopped tells whether it is closed: by close(), or because the server said so.
 * restart() opens the stream anew, after the last event that was seen.
 * The URL may be a ref or a function; when it changes, the other stream is read from its beginning.
 */
export function useEvents(url, type, limit = 50) {
  const events = shallowRef([]);
  const state = ref("connecting");
  const isStopped = computed(() => state.value === "closed");
  let source;
  let lastId = "";
  let count = 0;

  function close() {
    source.close();
    state.value = "closed";
  }

  function restart() {
    source?.close();
    state.value = "connecting";
    source = new EventSource(withLastId(toValue(url), lastId));
    source.onopen = () => (state.value = "open");
    source.onerror = () => {
      // CONNECTING: the browser retries, and sends the last id.
      state.value = source.readyState === EventSource.CLOSED ? "closed" : "reconnecting";
    };
    source.addEventListener(type, (event) => {
      if (event.lastEventId) lastId = event.lastEventId;
      // An event without an id has that of the event before, so the id cannot be the key.
      count += 1;
      const item = { key: count, id: event.lastEventId, data: JSON.parse(event.data) };
      events.value = [item, ...events.value].slice(0, limit);
    });
    // Without this, the browser would reconnect once, and a 204 would tell it to stop.
    source.addEventListener("stream-end", close);
  }

  function begin() {
    // It is new, or now reads another stream, of which it has seen nothing.
    lastId = "";
    events.value = [];
    restart();
  }

  watch(() => toValue(url), begin, { immediate: true });
  // When the component is removed.
  onScopeDispose(close);
  return { events, state, isStopped, restart, close };
}

// A new EventSource cannot set the Last-Event-ID header. The server also reads this parameter.
function withLastId(url, id) {
  const address = new URL(url, document.baseURI);
  if (id) address.searchParams.set("lastEventId", id);
  return address;
}
