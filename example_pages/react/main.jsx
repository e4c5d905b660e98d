import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { otherOrigin } from "../origin.js";
import { Updates } from "./Updates.jsx";

createRoot(document.querySelector("#app")).render(
  <StrictMode>
    <Updates origin={await otherOrigin()} />
  </StrictMode>,
);
