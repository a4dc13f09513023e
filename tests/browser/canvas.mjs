// Places every node of the pack on an empty canvas of a running ComfyUI, opens its help page, runs one workflow.
// usage: node canvas.mjs URL LOCALE OUT_DIR NODES.json WORKFLOW.json   (prints one line of JSON)
// env: CHROMIUM (browser binary), PLAYWRIGHT_CORE (folder of the playwright-core package)
import { createRequire } from 'node:module'
import fs from 'node:fs'

const { chromium } = createRequire(import.meta.url)(process.env.PLAYWRIGHT_CORE)
const [url, locale, out, nodesFile, workflowFile] = process.argv.slice(2)
const ids = JSON.parse(fs.readFileSync(nodesFile, 'utf8'))
const workflow = JSON.parse(fs.readFileSync(workflowFile, 'utf8'))
const settings = { 'Comfy.TutorialCompleted': true, 'Comfy.Minimap.Visible': false, 'Comfy.Locale': locale }

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update'],
})
const page = await (await browser.newContext({ viewport: { width: 1200, height: 1700 } })).newPage()
const errors = []
page.on('console', (m) => m.type() === 'error' && errors.push(`${m.text()} ${m.location().url}`))
page.on('pageerror', (e) => errors.push(`PAGEERROR ${e}`))

async function open() {
  await fetch(`${url}/settings`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(settings),
  })
  await page.goto(url, { waitUntil: 'domcontentloaded' })
  const ready = () => window.app?.graph && Object.keys(window.LiteGraph?.registered_node_types ?? {}).length > 100
  await page.waitForFunction(ready, null, { timeout: 120000 })
  await page.waitForTimeout(3000)
}

async function place(id) {
  const seen = await page.evaluate((id) => {
    const app = window.app
    app.graph.clear()
    const node = window.LiteGraph.createNode(id)
    app.graph.add(node)
    node.pos = [0, 0]
    node.setSize([460, Math.max(node.computeSize()[1], node.size[1])])
    const scale = Math.min(1, 1450 / (node.size[1] + 60))
    app.canvas.ds.scale = scale
    app.canvas.ds.offset = [140 / scale, 160 / scale]
    app.canvas.setDirty(true, true)
    return {
      title: node.title,
      widgets: node.widgets.map((w) => [w.name, w.label ?? w.name, w.value]),
      inputs: node.inputs.map((i) => [i.name, i.localized_name ?? i.label ?? i.name]),
      outputs: node.outputs.map((o) => [o.name, o.localized_name ?? o.label ?? o.name]),
      height: node.size[1] * scale,
    }
  }, id)
  await page.waitForTimeout(1000)
  const clip = { x: 100, y: 80, width: 620, height: Math.min(1600, seen.height + 130) }
  await page.screenshot({ path: `${out}/${id}.${locale}.png`, clip })
  return seen
}

async function run() {
  await page.evaluate(async (json) => {
    await window.app.loadGraphData(json)
    window.ended = []
    for (const name of ['execution_success', 'execution_error'])
      window.app.api.addEventListener(name, () => window.ended.push(name))
    await window.app.queuePrompt(0)
  }, workflow)
  await page.waitForFunction(() => window.ended.length > 0, null, { timeout: 60000 })
  await page.waitForTimeout(1000)
  await page.screenshot({ path: `${out}/workflow.${locale}.png` })
  return page.evaluate(() => window.ended)
}

try {
  await open()
  const placed = {}
  for (const id of ids) placed[id] = await place(id)
  const ended = await run()
  console.log(JSON.stringify({ placed, ended, errors }))
} finally {
  await browser.close()
}
