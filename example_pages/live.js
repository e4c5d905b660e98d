// What all pages share: an EventSource with its state on the page, and a list of events.
// Everything that comes from the server is put in as text, never as HTML.

export function connect(url, listeners) {
  const source = new EventSource(url);
  show("connecting", "connecting");
  source.onopen = () => show("open", "open");
  source.onerror = () => {
    // CONNECTING: the browser tries again by itself. CLOSED: it was told to stop (204), or refused.
    if (source.readyState === EventSource.CLOSED) show("closed", "closed");
    else show("connecting", "reconnecting");
  };
  for (const [type, listener] of Object.entries(listeners)) {
    source.addEventListener(type, listener);
  }
  return source;
}

export function close(source) {
  source.close();
  show("closed", "closed by this page");
}

export function show(state, text) {
  const element = document.querySelector(".state");
  element.dataset.state = state;
  element.textContent = text;
}

export function list(event, text) {
  const shown = document.querySelector("ol.events");
  shown.prepend(
    make("li", make("span", text), make("code", event.lastEventId ? `id ${event.lastEventId}` : "no id")),
  );
  while (shown.children.length > 50) shown.lastChild.remove();
}

// An element with children; strings become text.
export function make(name, ...children) {
  const element = document.createElement(name);
  element.append(...children);
  return element;
}

// A name for this tab that survives a reload.
export function tabName() {
  sessionStorage.name ??= crypto.getRandomValues(new Uint32Array(2)).join("");
  return sessionStorage.name;
}
