import { createApp } from "vue";

import { otherOrigin } from "../origin.js";
import Updates from "./Updates.vue";

createApp(Updates, { origin: await otherOrigin() }).mount("#app");
