// Shared by all pages: an EventSource with its state on the page, and a list of events.
// Everything from the server is shown as text, never as HTML.

export function connect(url, listeners) {
  const source = new EventSource(url);
  show("connecting");
  source.onopen = () => show("open");
  source.onerror = () => {
    // CONNECTING: the browser retries by itself. CLOSED: it was told to stop (204), or refused.
    show(source.readyState === EventSource.CLOSED ? "closed" : "reconnecting");
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

export function show(state, text = state) {
  const element = document.querySelector(".state");
  element.dataset.state = state;
  change(element, text);
}

// Set a text if it has changed: screen readers read it again each time it is set.
export function change(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Send a request and return its JSON answer. If it fails, show why in the page's #problem, and
// return null.
export async function send(url, options) {
  const problem = document.querySelector("#problem");
  problem.textContent = "";
  try {
    // Without a limit, a lost network would be waited for, for minutes.
    const response = await fetch(url, { ...options, signal: AbortSignal.timeout(10_000) });
    const answer = response.status === 204 ? {} : await response.json();
    if (response.ok) return answer;
    problem.textContent = `That did not work: ${answer.error}`;
  } catch {
    // No answer, or not the application's: a proxy in front of it answers with HTML.
    problem.textContent = "That did not work: there is no answer from the server.";
  }
  return null;
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

// A name for this tab that survives a reload, but not a duplication: a duplicated tab has a copy
// of the storage, and its type is "back_forward".
export function tabName() {
  const [{ type }] = performance.getEntriesByType("navigation");
  if (type !== "reload" || !sessionStorage.name) {
    sessionStorage.name = crypto.getRandomValues(new Uint32Array(2)).join("");
  }
  return sessionStorage.name;
}
