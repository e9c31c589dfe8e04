// How the pages are built, tested and, while somebody works on them, served.
import { defineConfig } from "vitest/config";

const server = process.env.MONETA_URL ?? "http://127.0.0.1:7979";
/** What the running program answers itself while the pages come from Vite. */
const passed_on = ["/v1", "/v2", "/health", "/healthz", "/metrics", "/ledger"];

export default defineConfig({
  // The directory above is kept in the repository, empty: the build of the program watches it.
  // Assets keep names of their own content, so that a browser may keep them for ever.
  build: {
    outDir: "dist/pages",
    target: ["chrome111", "firefox115", "safari16.4"],
    modulePreload: { polyfill: false },
    // A file inlined as `data:` would need a looser content policy.
    assetsInlineLimit: 0,
    // The editor is one large lazy chunk by nature.
    chunkSizeWarningLimit: 4096,
    reportCompressedSize: false,
    rollupOptions: {
      onwarn(warning, warn) {
        // Marks of libraries for servers that draw React; there is none here.
        if (warning.code !== "MODULE_LEVEL_DIRECTIVE") warn(warning);
      },
    },
  },
  server: { proxy: Object.fromEntries(passed_on.map((path) => [path, { target: server }])) },
  test: {
    projects: [
      { test: { name: "unit", include: ["tests/unit/**/*.test.ts"], environment: "node", testTimeout: 60_000 } },
      {
        test: {
          name: "browser",
          include: ["tests/browser/**/*.test.ts"],
          environment: "node",
          globalSetup: ["tests/browser/server.ts"],
          // One server, one browser: files one after another.
          pool: "forks",
          poolOptions: { forks: { singleFork: true } },
          // A busy machine makes nothing wrong: these only end what hangs.
          testTimeout: 240_000,
          expect: { poll: { timeout: 60_000 } },
          hookTimeout: 240_000,
        },
      },
      // Figures for people: `npm run measure`. It asserts no time.
      {
        test: {
          name: "measure",
          include: ["tests/measure/**/*.test.ts"],
          environment: "node",
          pool: "forks",
          poolOptions: { forks: { singleFork: true } },
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
