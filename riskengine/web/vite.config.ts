// One script and one style sheet, with no address of another machine in them. `base` is relative: a proxy may serve the
// page below a path of its own.

import { defineConfig } from "vitest/config";

export default defineConfig({
  base: "./",
  build: {
    target: "es2022",
    assetsInlineLimit: 0, // a strict content policy lets in no `data:` script or style
    modulePreload: false,
    chunkSizeWarningLimit: 2000,
    rollupOptions: {
      input: ["index.html"],
      output: {
        entryFileNames: "assets/[name]-[hash].js",
        assetFileNames: "assets/[name]-[hash][extname]",
      },
    },
  },
  test: {
    include: ["src/**/*.test.ts"],
    environment: "node",
  },
});
