// Drives Chromium for the tests: one JSON command a line on stdin, one JSON answer a line on stdout.
//   node driver.cjs CHROMIUM   (playwright-core is found through NODE_PATH or IMG_OPEN_PLAYWRIGHT)

const readline = require("node:readline");
const { chromium } = require(process.env.IMG_OPEN_PLAYWRIGHT || "playwright-core");

const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
  "--disable-background-networking", "--disable-component-update"];
let browser;
let page;
let errors = [];

const commands = {
  async open({ url, width = 1600, height = 1000 }) {
    browser ??= await chromium.launch({ executablePath: process.argv[2], headless: true, args: FLAGS });
    await page?.context().close();
    const context = await browser.newContext({ viewport: { width, height } });
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    page = await context.newPage();
    errors = [];
    page.on("console", (message) => {
      const text = message.text();
      if (message.type() === "error" || text.includes("[Img Open]")) {
        errors.push({ text: text.slice(0, 500), from: message.location().url ?? "" });
      }
    });
    page.on("pageerror", (error) => errors.push({ text: String(error.stack ?? error).slice(0, 800), from: "page" }));
    return go({ url });
  },
  reload: async () => go({ url: page.url() }),
  eval: async ({ code, argument }) =>
    page.evaluate(([code, argument]) => new (async () => {}).constructor("argument", code)(argument), [code, argument ?? null]),
  wait: async ({ code, argument, timeout = 30000 }) => {
    const body = `const [code, argument] = given; return new Function("argument", code)(argument);`;
    await page.waitForFunction(new Function("given", body), [code, argument ?? null], { timeout });
    return true;
  },
  async shot({ path, clip, quality }) {
    await page.screenshot({ path, clip: clip ?? undefined, type: quality ? "jpeg" : "png", quality });
    return path;
  },
  click: async ({ selector, text }) => {
    let target = page.locator(selector);
    if (text) target = target.filter({ hasText: text });
    await target.first().click({ timeout: 15000 });
  },
  fill: async ({ selector, value }) => page.locator(selector).first().fill(value, { timeout: 15000 }),
  press: async ({ keys }) => page.keyboard.press(keys),
  errors: async () => errors,
  content: async () => page.content(),
  async close() {
    await browser?.close();
    setTimeout(() => process.exit(0), 50);
  },
};

async function go({ url }) {
  const started = Date.now();
  await page.goto(url, { waitUntil: "domcontentloaded", timeout: 120000 });
  await page.waitForFunction(
    () => window.app?.graph && window.LiteGraph?.registered_node_types?.ImgOpenPreprocessor &&
      window.app.extensionManager,
    null,
    { timeout: 150000 },
  );
  return Date.now() - started;
}

readline.createInterface({ input: process.stdin }).on("line", async (line) => {
  const { id, command, ...options } = JSON.parse(line);
  let answer;
  try {
    answer = { id, value: (await commands[command](options)) ?? null };
  } catch (error) {
    answer = { id, error: String(error?.message ?? error).slice(0, 2000) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
});
