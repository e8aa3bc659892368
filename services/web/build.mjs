// Builds the page into static/: one script, one style sheet, one HTML file. `--tests` bundles tests/ into build/ instead.
// esbuild alone: it runs on Node 18, which Debian 12 brings, and what is built needs no runtime of its own.
import { rm, mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { build } from "esbuild";

const common = { bundle: true, format: "esm", jsx: "automatic", jsxImportSource: "preact", logLevel: "warning" };

async function tests() {
  const files = (await readdir("tests")).filter((name) => name.endsWith(".test.ts")).map((name) => `tests/${name}`);
  await rm("build/tests", { recursive: true, force: true });
  await build({ ...common, entryPoints: files, outdir: "build/tests", outExtension: { ".js": ".mjs" }, platform: "node" });
}

async function page() {
  await rm("static", { recursive: true, force: true });
  await mkdir("static/assets", { recursive: true });
  const { metafile } = await build({
    ...common,
    entryPoints: ["src/main.tsx"],
    outdir: "static/assets",
    entryNames: "[name]-[hash]",
    assetNames: "[name]-[hash]",
    loader: { ".svg": "file" },
    publicPath: "/assets",
    target: ["chrome109", "firefox115", "safari16"],
    minify: true,
    legalComments: "linked",
    metafile: true,
  });
  const made = Object.keys(metafile.outputs).map((path) => basename(path));
  const named = (ending) => made.find((name) => name.endsWith(ending));
  const html = await readFile("index.html", "utf8");
  const names = { script: named(".js"), style: named(".css"), icon: named(".svg") };
  await writeFile("static/index.html", html.replace(/\{(\w+)\}/g, (_, name) => names[name]));
}

await (process.argv.includes("--tests") ? tests() : page());
