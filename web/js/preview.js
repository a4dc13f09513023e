// The preview button: runs only the module of this node, on the picture wired to it, and shows the map there.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { find } from "./sliders.js";
import { t } from "./words.js";

const NODES = ["ImgOpenPreprocessor", "ImgOpenControlNetApply"];
const KEEP = ["module", "processor_res", "threshold_a", "threshold_b", "pixel_perfect", "resize_mode", "width", "height",
  "seed"];
const MAP = "img_open_map_"; // then the node's id: what the host says about it is passed on to the node
const LOOK = "img_open_look";
const SIZE = "img_open_size";
const ROOM = 240; // pixels below the widgets for the map
const waiting = new Map();

/** Whether a node has a module that can be previewed. */
export function canPreview(node) {
  return NODES.includes(node.comfyClass);
}

/** Add the button; it is not part of the workflow. */
export function addButton(node, onError) {
  const text = t("preview control image");
  const button = node.addWidget("button", "img_open_preview", null, () => preview(node).catch(onError), {
    serialize: false,
  });
  button.label = text;
  button.serialize = false;
  node.imgOpenPreview = button;
}

/** Queue the small graph and wait for its picture. */
export async function preview(node) {
  const { output } = await app.graphToPrompt();
  const own = output[String(node.id)];
  const link = own?.inputs?.image;
  if (!Array.isArray(link)) throw new Error(t("Wire a picture to preview its control image."));
  const graph = {};
  collect(output, String(link[0]), graph);
  const inputs = { image: link };
  for (const name of KEEP) if (own.inputs[name] !== undefined) inputs[name] = own.inputs[name];
  for (const value of Object.values(inputs)) if (Array.isArray(value)) collect(output, String(value[0]), graph);
  const map = MAP + node.id;
  graph[map] = { class_type: "ImgOpenPreprocessor", inputs };
  graph[LOOK] = { class_type: "PreviewImage", inputs: { images: [map, 0] } };
  graph[SIZE] = { class_type: "PreviewAny", inputs: { source: [map, 1] } };
  const answer = await api.fetchApi("/prompt", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ client_id: api.clientId, prompt: graph }),
  });
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.error?.message ?? t("The control image could not be made."));
  waiting.set(told.prompt_id, { node, module: String(inputs.module) });
}

function collect(output, id, into) {
  if (into[id] || !output[id]) return;
  into[id] = output[id];
  for (const value of Object.values(output[id].inputs)) {
    if (Array.isArray(value)) collect(output, String(value[0]), into);
  }
}

function say(event, detail) {
  const target = /** @type {EventTarget} */ (api);
  target.dispatchEvent(new CustomEvent(event, { detail }));
}

/** A text about the map (the estimator that was used, values out of range) belongs to the node. */
export function onText(detail) {
  const id = String(detail?.nodeId ?? "");
  if (id.startsWith(MAP)) say("progress_text", { ...detail, nodeId: id.slice(MAP.length) });
}

/** The event of a failure, at the node itself where it was the node's preview that failed. */
export function ofNode(detail) {
  const id = String(detail?.node_id ?? "");
  return id.startsWith(MAP) ? { ...detail, node_id: id.slice(MAP.length) } : detail;
}

/** The host said that a node has run. */
export function onExecuted(detail) {
  const job = waiting.get(detail.prompt_id);
  if (!job) return;
  if (detail.node === LOOK && detail.output?.images) {
    // As if the node itself had run: the host then shows the picture in its own way.
    const node = job.node;
    const id = String(node.id);
    node.setSize?.([node.size[0], Math.max(node.size[1], node.computeSize()[1] + ROOM)]);
    const output = { images: detail.output.images };
    say("executed", { node: id, display_node: id, prompt_id: "", output });
  }
  if (detail.node === SIZE) {
    const size = String(detail.output?.text?.[0] ?? "");
    const label = find(job.module)?.label ?? job.module;
    if (job.node.imgOpenPreview) job.node.imgOpenPreview.label = `${label} \u00b7 ${size} px`;
    job.node.setDirtyCanvas?.(true, true);
  }
}
