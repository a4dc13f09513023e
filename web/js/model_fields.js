// Fields that name a model: the button that opens the browser of models, and what a click in it fills.
// The browser itself (models.js) is loaded when it is opened first.

import { app } from "../../../scripts/app.js";
import { copy } from "./copy.js";
import { complain } from "./paste.js";
import { safe } from "./safe.js";
import { setting } from "./settings.js";
import { t } from "./words.js";

const FIELDS = { checkpoint: ["sd_model_checkpoint", "baseModelCode"], vae: ["sd_vae", "vaeName"] };
const OWN = { ImgOpenModel: "checkpoint", ImgOpenControlNetApply: "controlnet" };
const BUTTON = "img_open_models";

/**
 * The widgets of a node by the kind of model that they name; a LoRA goes into the prompt.
 * @returns {Record<string, any>}
 */
export function targets(node) {
  const named = (name) => node?.widgets?.find((one) => one.name === name);
  const found = {};
  for (const [kind, names] of Object.entries(FIELDS)) {
    const widget = names.map(named).find(Boolean);
    if (widget) found[kind] = widget;
  }
  const own = OWN[node?.comfyClass];
  if (own && named("model")) found[own] = named("model");
  if (found.checkpoint && named("prompt")) found.lora = named("prompt");
  return found;
}

/** Add the button to a node that names a model; no workflow stores it. */
export function addBrowse(node) {
  if (!Object.keys(targets(node)).length) return;
  const button = node.addWidget("button", BUTTON, null, () => browse(node).catch(complain), { serialize: false });
  button.label = t("browse models");
  button.serialize = false;
}

/** The command: for the selected node, or for the clipboard. */
export async function browseSelected() {
  const chosen = Object.values(app.canvas?.selected_nodes ?? {});
  await browse(chosen.find((node) => Object.keys(targets(node)).length)).catch(complain);
}

/** Open the browser for a node (or for none: a click then copies the name). */
export async function browse(node) {
  const { openModels } = await import("./models.js");
  const kinds = Object.keys(targets(node));
  const place = node ? placeOf(node) : { source: "here", profile: setting("ImgOpen.DefaultProfile") };
  openModels({ ...place, kinds, title: node?.title ?? "", pick: (row) => fill(node, row) });
}

/**
 * Where a node's models are: ComfyUI's folders, or the server of a profile.
 * @returns {{source: string, profile: string}}
 */
export function placeOf(node) {
  const value = (from, name) => from?.widgets?.find((one) => one.name === name)?.value;
  const asker = value(node, "profile") === undefined ? consumer(node) : node;
  const profile = String(value(asker, "profile") ?? setting("ImgOpen.DefaultProfile") ?? "");
  const run = value(asker, "run_on");
  const remote = asker ? run === undefined || run === "remote" : node.comfyClass === "ImgOpenModel";
  return { source: remote ? "remote" : "here", profile };
}

/** The node that sends a unit, through units behind it; null while it is wired to none. */
function consumer(node) {
  for (let hops = 0; node && hops < 64; hops++) {
    const slot = (node.outputs ?? []).findIndex((output) => output.name === "units" || output.type === "IMGOPEN_UNITS");
    const next = slot < 0 ? null : (node.getOutputNodes?.(slot) ?? [])[0];
    if (!next) return null;
    if (next.widgets?.some((one) => one.name === "profile")) return next;
    node = next;
  }
  return null;
}

/** Put a chosen model where it belongs. */
export function fill(node, row) {
  const widget = node && targets(node)[row.kind];
  const text = row.kind === "lora" ? `<lora:${row.name}:1>` : row.name;
  if (!widget) {
    copy(text);
    return;
  }
  if (row.kind !== "lora") put(node, widget, text);
  else if (String(widget.value).includes(`<lora:${row.name}:`)) say(t("{name} is in the prompt already.", row));
  else put(node, widget, [String(widget.value).trimEnd(), text].filter(Boolean).join(" "));
  const wired = (node.inputs ?? []).some((input) => input.name === widget.name && input.link != null);
  if (wired) say(t("{name} is wired: what comes over the wire counts, not the field.", { name: widget.name }));
}

/** Write a field as somebody would: the node, the front-end and its undo steps hear of it. */
export function put(node, widget, value) {
  const before = widget.value;
  widget.value = value;
  widget.callback?.(value, app.canvas, node);
  node.onWidgetChanged?.(widget.name, value, before, widget);
  node.setDirtyCanvas?.(true, true);
  safe("models: undo step", () => {
    const tracker = /** @type {any} */ (app.extensionManager)?.workflow?.activeWorkflow?.changeTracker;
    (tracker?.captureCanvasState ?? tracker?.checkState)?.call(tracker);
  })();
}

function say(detail) {
  app.extensionManager?.toast?.add({ severity: "info", summary: "Img Open", detail, life: 5000 });
}
