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
  async open({ url, width = 1600, height = 1000, blank = false }) {
    browser ??= await chromium.launch({ executablePath: process.argv[2], headless: true, args: FLAGS });
    await page?.context().close();
    const context = await browser.newContext({ viewport: { width, height } });
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    await context.addInitScript(() => performance.setResourceTimingBufferSize(5000));
    page = await context.newPage();
    errors = [];
    page.on("console", (message) => {
      const text = message.text();
      if (message.type() === "error" || text.includes("[Img Open]")) {
        errors.push({ text: text.slice(0, 500), from: message.location().url ?? "" });
      }
    });
    page.on("pageerror", (error) => errors.push({ text: String(error.stack ?? error).slice(0, 800), from: "page" }));
    return blank ? 0 : go({ url });
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
  // CPU time (self time) of scripts whose address holds `part`, from navigation until the canvas is there.
  async profile({ url, part }) {
    await commands.open({ url: "about:blank#", blank: true });
    const session = await page.context().newCDPSession(page);
    await session.send("Profiler.enable");
    await session.send("Profiler.setSamplingInterval", { interval: 200 });
    await session.send("Profiler.start");
    const load_ms = await go({ url });
    await page.waitForTimeout(1500);
    const { profile } = await session.send("Profiler.stop");
    const own = new Set(profile.nodes.filter((one) => one.callFrame.url.includes(part)).map((one) => one.id));
    let own_us = 0;
    profile.samples.forEach((id, at) => { if (own.has(id)) own_us += profile.timeDeltas[at]; });
    const files = await page.evaluate((part) => performance.getEntriesByType("resource")
      .filter((one) => one.name.includes(part)).map((one) => [one.startTime, one.responseEnd, one.transferSize]), part);
    return { load_ms, own_ms: own_us / 1000, files: files.length,
      fetch_ms: Math.max(...files.map((one) => one[1])) - Math.min(...files.map((one) => one[0])),
      bytes: files.reduce((sum, one) => sum + one[2], 0) };
  },
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
