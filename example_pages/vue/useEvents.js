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
      // CONNECTING: the browser tries again, and tells the server the last id.
      state.value = source.readyState === EventSource.CLOSED ? "closed" : "reconnecting";
    };
    source.addEventListener(type, (event) => {
      if (event.lastEventId) lastId = event.lastEventId;
      // Events without an id of their own have that of the one before, so it is no key.
      count += 1;
      const item = { key: count, id: event.lastEventId, data: JSON.parse(event.data) };
      events.value = [item, ...events.value].slice(0, limit);
    });
    // Without this, the browser would come back once and be told by a 204 to stay away.
    source.addEventListener("stream-end", close);
  }

  function begin() {
    // It is new, or reads another stream now, of which nothing has been seen.
    lastId = "";
    events.value = [];
    restart();
  }

  watch(() => toValue(url), begin, { immediate: true });
  // When the component is taken away.
  onScopeDispose(close);
  return { events, state, isStopped, restart, close };
}

// A new EventSource cannot set the header Last-Event-ID. The server reads this parameter, too.
function withLastId(url, id) {
  const address = new URL(url, document.baseURI);
  if (id) address.searchParams.set("lastEventId", id);
  return address;
}
