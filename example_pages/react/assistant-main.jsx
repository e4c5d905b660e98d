import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { Assistant } from "./Assistant.jsx";

// Whoever knows the chat's id may read it, so it cannot be guessed. It is in the page's address, and
// so survives a reload; the messages are in the browser's storage.
if (location.hash.length < 2) {
  const id = crypto.getRandomValues(new Uint32Array(4)).join("");
  history.replaceState(null, "", `#${id}`);
}

createRoot(document.querySelector("#app")).render(
  <StrictMode>
    <Assistant id={location.hash.slice(1)} />
  </StrictMode>,
);
