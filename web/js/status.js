// What a remote task left on its node: seeds and task id to copy, what was paid; after an error, what to do.
// Percentage, stage, elapsed time and the intermediate picture are shown by the host from the node's progress.

import { app } from "../../../scripts/app.js";
import { isPaid } from "./again.js";
import { copy } from "./copy.js";
import { call } from "./http.js";
import { complain } from "./paste.js";
import { nearNames, offerRemedy } from "./remedies.js";
import { report } from "./safe.js";
import { openSettings } from "./settings.js";
import { openTasks } from "./tasks.js";
import { t } from "./words.js";

const TASK = /^task (\S+)/m;
const SEEDS = /^seeds (.+)$/m;
/** @type {[RegExp, string, () => void][]} */
const ACTIONS = [
  [/(ProfileError|Unauthorized)$/, "open profiles", openSettings],
  [/(TaskUncertain|TaskTimeout|TaskFailed|NetworkError|ServerError|Busy)$/, "open tasks", openTasks],
];

/** The node of the pack with this id (also "7:3" inside a group), or null. */
export function nodeOf(id) {
  const graph = app.graph;
  const plain = String(id).split(":").pop();
  const node = graph?.getNodeById?.(Number(plain)) ?? graph?.getNodeById?.(plain) ?? null;
  return String(node?.comfyClass).startsWith("ImgOpen") ? node : null;
}

/** A button under the node's widgets that no workflow stores; an empty text takes it away. */
function button(node, name, text, press) {
  const index = (node.widgets ?? []).findIndex((widget) => widget.name === name);
  if (!text) {
    if (index >= 0) (node.removeWidget ? node.removeWidget(node.widgets[index]) : node.widgets.splice(index, 1));
    return;
  }
  const widget = index >= 0 ? node.widgets[index]
    : node.addWidget("button", name, null, () => widget.imgOpenPress?.(), { serialize: false });
  widget.serialize = false;
  widget.label = text;
  widget.imgOpenPress = press;
}

const NAMES = ["img_open_seeds", "img_open_task", "img_open_paid", "img_open_action"];
const NEAR = ["img_open_near_1", "img_open_near_2", "img_open_near_3"];

function clear(node) {
  for (const name of [...NAMES, ...NEAR]) button(node, name, "");
}

/** Only the cloud is paid; elsewhere pictures are made, or asked for while the task is on its way. */
async function billing(task) {
  if (await isPaid(task.profile)) return "images paid: {count}, {profile}";
  return task.state === "done" ? "images made: {count}, {profile}" : "images asked for: {count}, {profile}";
}

function count(task) {
  return task.sent ? task.images : 0;
}

function showSeeds(node, seeds) {
  if (seeds) button(node, NAMES[0], `${t("copy seeds")}: ${seeds.slice(0, 40)}`, () => copy(seeds));
}

/** A text for a node arrived; the summary at the end names the task, or the seeds of a run on this machine. */
export async function onText(detail) {
  const text = String(detail?.imgOpenSaid ?? detail?.text ?? "");
  const found = TASK.exec(text);
  const here = found ? null : SEEDS.exec(text);
  const node = (found || here) && nodeOf(detail.nodeId);
  if (!node) return;
  try {
    clear(node);
    if (here) showSeeds(node, here[1]);
    if (here) return;
    const task = await call("GET", `/img_open/tasks/${encodeURIComponent(found[1])}`);
    showSeeds(node, task.seeds.join(", "));
    button(node, NAMES[1], `${t("copy task id")}: ${task.task_id.slice(0, 24)}`, () => copy(task.task_id));
    const paid = t(await billing(task), { count: count(task), profile: task.profile });
    const audits = [...new Set(task.audits.flat().map((audit) => audit.label).filter(Boolean))].join(", ");
    button(node, NAMES[2], [paid, audits && t("audit: {labels}", { labels: audits })].filter(Boolean).join(" \u00b7 "), openTasks);
    node.setSize?.([node.size[0], Math.max(node.size[1], node.computeSize()[1])]);
    node.setDirtyCanvas?.(true, true);
  } catch (error) {
    report("status", error);
  }
}

/** A node of the pack failed: offer what helps. */
export function onError(detail) {
  const node = nodeOf(detail?.node_id);
  if (!node) return;
  const type = String(detail.exception_type ?? "");
  const action = ACTIONS.find(([pattern]) => pattern.test(type));
  clear(node);
  let shown = false;
  const show = (text, press) => {
    if (shown && !node.widgets.some((widget) => widget.name === NAMES[3])) return false; // a new run took it away
    shown = true;
    button(node, NAMES[3], text, () => (async () => press())().catch(complain));
    node.setDirtyCanvas?.(true, true);
  };
  nearNames(node, detail).forEach(({ name, use }, number) => {
    button(node, NEAR[number], t("use {name}", { name }), () => {
      use();
      clear(node);
      node.setDirtyCanvas?.(true, true);
    });
  });
  if (!offerRemedy(node, detail, show) && action) show(t(action[1]), action[2]);
}

/** A new run begins: what the last one offered is over. */
export function onStart(detail) {
  const node = nodeOf(detail);
  if (node) clear(node);
}
