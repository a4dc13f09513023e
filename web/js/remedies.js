// What a node offers after an error, as a button that does it: the missing weights, the models there are, the
// task that goes on at the server. Other errors lead to the panel that helps (status.js).

import { app } from "../../../scripts/app.js";
import { call } from "./http.js";
import { browse, put, targets } from "./model_fields.js";
import { tell } from "./tell.js";
import { t } from "./words.js";

const EVERY = 1000; // milliseconds
const GOES_ON = /(TaskTimeout|NetworkError|ServerError)$/;

/** The key of the annotator weight that an error text names, or "". */
export function missingWeight(text) {
  return / models pull ([a-z][\w-]*)/.exec(text)?.[1] ?? "";
}

/** The id of the task that an error text names, or "". */
export function namedTask(text) {
  return (/\bio-[0-9a-f]{32}\b/.exec(text) ?? /\b[Tt]ask ([\w.:-]*\w)/.exec(text)?.slice(1))?.[0] ?? "";
}

/**
 * Offer what helps.
 * @param {any} node
 * @param {{exception_type?: string, exception_message?: string}} detail the host's event
 * @param {(text: string, press: () => any) => any} show puts text and action on the node's button; false: it is gone
 * @returns {boolean} whether there is something
 */
export function offerRemedy(node, detail, show) {
  const type = String(detail.exception_type ?? "");
  const text = said(detail);
  if (/MissingModel$/.test(type)) {
    const key = missingWeight(text);
    if (key) offerWeights(key, show);
    else if (Object.keys(targets(node)).length) show(t("browse models"), () => browse(node));
    else return false;
    return true;
  }
  const task = GOES_ON.test(type) ? namedTask(text) : "";
  if (task) show(t("re-attach the task"), () => attach(node, task, show));
  return Boolean(task);
}

/** The error in English, before it was put into the page's language. */
function said(detail) {
  return String(detail.imgOpenSaid ?? detail.exception_message ?? "");
}

const KINDS = { checkpoint: "checkpoint", "control model": "controlnet", VAE: "vae" };

/**
 * The nearest names that the error of a missing model tells, each with what puts it into the field that holds the
 * wrong one: on the node itself, or on a unit before it.
 * @returns {{name: string, use: () => void}[]}
 */
export function nearNames(node, detail) {
  if (!/MissingModel$/.test(String(detail.exception_type ?? ""))) return [];
  const found = /There is no (checkpoint|control model|VAE) named (['"])(.*?)\2\..*?Nearest: (.+?)\.(?=\s|$)/s
    .exec(said(detail));
  if (!found) return [];
  const [, word, , wrong, names] = found;
  const holder = holderOf(node, KINDS[word], wrong);
  if (!holder) return [];
  const use = (name) => () => put(holder, targets(holder)[KINDS[word]], name);
  return names.split(", ").slice(0, 3).map((name) => ({ name, use: use(name) }));
}

/** The node whose field names the model, looking from a node to those before it. */
function holderOf(node, kind, wrong, seen = new Set()) {
  if (!node || seen.has(node) || seen.size > 64) return null;
  seen.add(node);
  if (String(targets(node)[kind]?.value ?? "").trim() === wrong) return node;
  for (let slot = 0; slot < (node.inputs ?? []).length; slot++) {
    const found = node.inputs[slot].link != null && holderOf(node.getInputNode(slot), kind, wrong, seen);
    if (found) return found;
  }
  return null;
}

function offerWeights(key, show) {
  const press = async () => (await import("./models_pull.js")).pullWeights(key, show);
  show(t("pull weights: {key}", { key }), press);
}

/**
 * Wait for a task in the background; its pictures come into the journal, and the next run takes them from there.
 * A click ends the questions, and so does a node that is taken away; the server goes on collecting either way.
 */
async function attach(node, task, show) {
  const path = `/img_open/tasks/${encodeURIComponent(task)}`;
  const again = () => attach(node, task, show);
  const mine = (node.imgOpenWait = Symbol(task)); // a primitive: newer front-ends hand out nodes as proxies
  const { id } = await call("POST", `${path}/action`, { action: "attach" });
  while (waiting(node, mine)) {
    const [{ state }, progress] = await Promise.all([call("GET", path), call("GET", "/img_open/progress")]);
    const live = progress[id] ?? {};
    if (state === "done") {
      show(t("attached: run again for the pictures"), () => app.queuePrompt(0));
      return;
    }
    if (live.error || !["submitted", "running", "uncertain"].includes(state)) {
      show(t("re-attach the task"), again);
      throw new Error(live.error ? tell(live.error) : t(state));
    }
    const percent = typeof live.fraction === "number" ? ` ${Math.round(live.fraction * 100)} %` : "";
    const stop = () => {
      node.imgOpenWait = undefined;
      show(t("re-attach the task"), again);
    };
    if (show(`${t("attaching")}${percent} ${t("(click stops)")}`, stop) === false) return;
    await new Promise((done) => setTimeout(done, EVERY));
  }
}

/** Whether a node is still on its canvas and this wait is its newest. */
function waiting(node, mine) {
  return node.graph?.getNodeById?.(node.id)?.imgOpenWait === mine;
}
