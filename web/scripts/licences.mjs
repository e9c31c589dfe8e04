// Collects the licence texts of everything that may end up in the built pages, and fails on a licence that is not on
// the list. Packages for building and testing only are checked, but not listed: they are not given to anybody.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = new URL("..", import.meta.url).pathname;
const allowed = new Set(["MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "0BSD", "Unlicense", "MPL-2.0", "(MPL-2.0 OR Apache-2.0)", "CC0-1.0", "Python-2.0", "BlueOak-1.0.0"]);

const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
const parts = [];
for (const [path, entry] of Object.entries(lock.packages)) {
  if (path === "") continue;
  const name = path.split("node_modules/").pop();
  if (!allowed.has(entry.license)) throw new Error(`${name}: the licence ${entry.license} is not on the list in scripts/licences.mjs`);
  // Lock files may leave out where a package comes from when it is the registry; its digest is always there.
  const isFromRegistry = entry.resolved === undefined || entry.resolved.startsWith("https://registry.npmjs.org/");
  if (!isFromRegistry || !entry.integrity) throw new Error(`${name} comes from ${entry.resolved}`);
  if (entry.dev || !existsSync(join(root, path))) continue;
  const texts = readdirSync(join(root, path), { withFileTypes: true })
    .filter((file) => file.isFile() && /^(licen[cs]e|notice|copying)/i.test(file.name))
    .map((file) => file.name);
  const text = texts.map((file) => readFileSync(join(root, path, file), "utf8").trim()).join("\n\n");
  parts.push(`${name} ${entry.version} (${entry.license})\n\n${text || "No text of its own; the licence is that of this name."}\n`);
}
const out = join(root, "dist/pages/assets");
mkdirSync(out, { recursive: true });
writeFileSync(join(out, "licences.txt"), `The pages are made with these packages.\n\n${parts.join(`\n${"-".repeat(78)}\n\n`)}`);
