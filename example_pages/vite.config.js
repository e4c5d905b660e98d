// Makes built/react.js, built/assistant.js, built/vue.js, built/htmx.js and built/datastar.js.
import vue from "@vitejs/plugin-vue";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [vue()],
  publicDir: false,
  esbuild: { jsx: "automatic" },
  logLevel: "error", // htmx uses eval(), which would be a warning.
  build: {
    target: "es2022",
    outDir: "built",
    rollupOptions: {
      onwarn() {}, // Of comments in the libraries.
      input: {
        react: "./react/main.jsx",
        assistant: "./react/assistant-main.jsx",
        vue: "./vue/main.js",
        htmx: "./libraries/htmx.js",
        datastar: "./libraries/datastar.js",
      },
      output: { entryFileNames: "[name].js", chunkFileNames: "[name]-chunk.js" },
    },
  },
});
