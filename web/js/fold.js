// Folds what a node does not need: fields that mean nothing as the node is wired and set, and the rarely used rest,
// which one button shows. Rules are data. A value that is not the default, or comes over a wire, is always shown;
// values, their order and what a workflow stores are never touched. The button's state is in node.properties.

import { afterMethod, safe } from "./safe.js";
import { setting } from "./settings.js";
import { hide } from "./sliders.js";
import { t } from "./words.js";

export const SHOW_ALL = "ImgOpen.ShowAll";
const MORE = "img_open_more"; // the button, and the property that keeps its state
/** What the widgets held when the node was made: WeakMap<node, Map<name, value>>. */
const usual = new WeakMap();

const REQUEST = {
  basics: [
    "run_on", "profile", "prompt", "negative_prompt", "sd_model_checkpoint", "sampler_index", "steps", "cfg_scale",
    "width", "height", "seed", "batch_size", "denoising_strength", "enable_hr", "hr_scale", "hr_upscaler",
    "resize_mode", "mask_blur", "inpainting_fill", "inpaint_full_res", "inpaint_full_res_padding",
    "inpainting_mask_invert",
  ],
  needs: [
    [["hr_scale", "hr_upscaler", "hr_second_pass_steps", "hr_resize_x", "hr_resize_y"], (is) => is.on("enable_hr")],
    [["mask_blur", "mask_blur_x", "mask_blur_y", "inpainting_fill", "inpaint_full_res", "inpaint_full_res_padding",
      "inpainting_mask_invert"], (is) => is.given("init_mask", "mask_link")],
    [["resize_mode", "initial_noise_multiplier", "image_cfg_scale"], (is) => is.given("init_image", "image_link")],
    [["denoising_strength"], (is) => is.on("enable_hr") || is.given("init_image", "image_link")],
    [["profile", "deadline", "run_again"], (is) => is.value("run_on") !== "local"],
    [["image_link"], (is) => !is.wired("init_image")],
    [["mask_link"], (is) => !is.wired("init_mask")],
  ],
};
const RULES = {
  ImgOpenGenerate: REQUEST,
  ImgOpenRemoteSubmit: REQUEST,
  ImgOpenSubmitAsync: REQUEST,
  ImgOpenControlNetApply: {
    // The sliders of the module hide themselves (sliders.js).
    basics: ["enabled", "module", "model", "weight", "resize_mode", "processor_res", "threshold_a", "threshold_b",
      "guidance_start", "guidance_end", "pixel_perfect", "control_mode"],
    needs: [
      [["image_link"], (is) => !is.wired("image")],
      [["pulid_mode"], (is) => /pulid/i.test(is.value("module"))],
    ],
  },
  ImgOpenPreprocessor: {
    basics: ["module", "processor_res", "threshold_a", "threshold_b", "pixel_perfect", "resize_mode", "width", "height",
      "run_on", "profile"],
    needs: [
      [["resize_mode", "width", "height"], (is) => is.on("pixel_perfect")],
      [["profile", "run_again"], (is) => is.value("run_on") !== "local"],
    ],
  },
};
const SLIDERS = ["processor_res", "threshold_a", "threshold_b"];
const ASKED = ["run_on", "enable_hr", "pixel_perfect", "module", "image_link", "mask_link"]; // what rules look at
const NEARLY = 60; // pixels: a file of an older version has a few rows less

/** Whether a node folds. */
export function folds(node) {
  return node.comfyClass in RULES && Boolean(node.widgets);
}

/** Make a new node fold. Its values are those of a fresh node. */
export function follow(node) {
  usual.set(node, new Map(node.widgets.map((widget) => [widget.name, widget.value])));
  const button = node.addWidget("button", MORE, null, () => safe("fold: button", toggle)(node), { serialize: false });
  button.serialize = false;
  for (const widget of node.widgets) {
    const before = widget.callback;
    if (widget.type === "button") continue;
    widget.callback = function (...args) {
      const result = before?.apply(this, args);
      if (widget.hidden || ASKED.includes(widget.name)) safe("fold: value", fold)(node);
      return result;
    };
  }
  afterMethod(node, "onConnectionsChange", "fold: wire", () => fold(node));
  afterMethod(node, "onConfigure", "fold: node loaded", () => fit(node));
  fold(node);
  // Whoever made the node gives it its values now, without telling.
  setTimeout(() => safe("fold: new node", fold)(node));
}

/** The setting was changed. */
export function foldAll(nodes) {
  for (const node of nodes) if (usual.has(node)) fold(node);
}

function toggle(node) {
  if (node.properties[MORE]) delete node.properties[MORE];
  else node.properties[MORE] = true;
  fold(node);
}

/** A loaded node has the height of its file: one that was saved with every row shrinks by those that are folded. */
function fit(node) {
  const height = node.size[1];
  show(node, () => true);
  const full = node.computeSize()[1];
  fold(node, false);
  const least = node.computeSize()[1];
  const wanted = height > full - NEARLY ? least + Math.max(0, height - full) : Math.max(height, least);
  if (wanted !== height) node.setSize([node.size[0], wanted]);
}

/** Show what counts, and let the height follow; what the user added to it stays. */
function fold(node, sized = true) {
  const before = node.computeSize()[1];
  const all = setting(SHOW_ALL) === true;
  const more = all || node.properties?.[MORE] === true;
  const rules = RULES[node.comfyClass];
  const is = facts(node);
  let rest = 0;
  show(node, (name) => {
    if (all || is.changed(name)) return true;
    if (rules.needs.some(([names, needed]) => names.includes(name) && !needed(is))) return false;
    if (rules.basics.includes(name)) return true;
    rest += 1;
    return more;
  });
  const button = node.widgets.find((widget) => widget.name === MORE);
  if (button) {
    button.label = more ? t("fewer inputs") : t("more inputs ({count})", { count: rest });
    if (Boolean(button.hidden) !== (all || !rest)) hide(button, all || !rest);
  }
  const after = node.computeSize()[1];
  if (sized && after !== before) {
    node.setSize([node.size[0], after + Math.max(0, node.size[1] - before)]);
  }
  node.setDirtyCanvas?.(true, true);
}

function show(node, wanted) {
  for (const widget of node.widgets) {
    if (!usual.get(node).has(widget.name) || SLIDERS.includes(widget.name) || widget.type === "button") continue;
    const hidden = !wanted(widget.name);
    if (Boolean(widget.hidden) !== hidden) hide(widget, hidden);
  }
}

/** What rules ask about a node. */
function facts(node) {
  const widget = (name) => node.widgets.find((one) => one.name === name);
  const value = (name) => widget(name)?.value;
  const wired = (name) => (node.inputs ?? []).some((input) => input.name === name && input.link != null);
  return {
    value,
    wired,
    on: (name) => value(name) === true || wired(name),
    given: (socket, link) => wired(socket) || wired(link) || String(value(link) ?? "").trim() !== "",
    changed: (name) => wired(name) || value(name) !== usual.get(node).get(name),
  };
}
