// A small script that connects, one that draws, and one style sheet, with no address of another machine in them. `base` is relative: a proxy may serve the
// page below a path of its own.

import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** The script that draws is loaded while the one that connects runs. */
const preloadPage: Plugin = {
  name: "preload-page",
  transformIndexHtml: {
    order: "post",
    handler: (_, { bundle = {} }) =>
      Object.values(bundle)
        .filter((each) => each.type === "chunk" && each.name === "page")
        .map(({ fileName }) => ({ tag: "link", attrs: { rel: "modulepreload", crossorigin: true, href: `./${fileName}` }, injectTo: "head" as const })),
  },
};

export default defineConfig({
  base: "./",
  plugins: [preloadPage],
  build: {
    target: "es2022",
    assetsInlineLimit: 0, // a strict content policy lets in no `data:` script or style
    modulePreload: false,
    cssCodeSplit: false,
    chunkSizeWarningLimit: 2000,
    rollupOptions: {
      input: ["index.html"],
      output: {
        entryFileNames: "assets/[name]-[hash].js",
        chunkFileNames: "assets/[name]-[hash].js",
        assetFileNames: "assets/[name]-[hash][extname]",
      },
    },
  },
  test: {
    include: ["src/**/*.test.ts"],
    environment: "node",
  },
});
