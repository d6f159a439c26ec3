// The page is served by `gelato` itself under `default-src 'self'`: nothing may end up inline or as a data: address.
import { defineConfig } from "vite";

// `npm run dev` shows what `gelato monitor` tells.
const server = "http://127.0.0.1:8767";

export default defineConfig({
  base: "./",
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  build: {
    target: "es2021",
    assetsInlineLimit: 0,
    modulePreload: false,
    reportCompressedSize: false,
    sourcemap: false,
  },
  server: { proxy: { "/api": server, "/metrics": server } },
});
