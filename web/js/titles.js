// Titles in the page's language, in English, or with the API's own word beside them (Settings - Img Open). Nothing of
// it is stored in a workflow: names and values stay as they are.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { AMONG_NAMES, NAMED, ZH } from "./choices.js";
import { report } from "./safe.js";
import { setting } from "./settings.js";
import { NAMES as SLIDERS } from "./sliders.js";
import { language } from "./words.js";

export const TITLES = "ImgOpen.Titles";
/** What the host gave: WeakMap<widget or slot, its text>. */
const given = new WeakMap();
/** Titles of node types as the host gave them. @type {Map<string, string>} */
const titles = new Map();
let english = null;

/** Give one node's widgets and slots the titles that the setting asks for. */
export function entitle(node) {
  const mode = setting(TITLES) ?? "host";
  for (const widget of node.widgets ?? []) {
    if (widget.type === "button") continue;
    if (!(SLIDERS.includes(widget.name) && widget.label && given.has(widget))) {
      widget.label = worded(widget, widget.label, widget.name, mode);
    }
    const box = widget.element ?? widget.inputEl;
    if (box instanceof HTMLTextAreaElement) box.placeholder = widget.label ?? widget.name;
    if (widget.type === "combo") chooseWords(widget);
    if (widget.type === "toggle") switchWords(widget);
  }
  for (const slot of [...(node.inputs ?? []), ...(node.outputs ?? [])]) {
    slot.localized_name = worded(slot, slot.localized_name, slot.name, mode);
  }
}

function worded(thing, text, name, mode) {
  if (!given.has(thing)) given.set(thing, text);
  const usual = given.get(thing);
  if (mode === "english") return name;
  return mode === "both" && usual && usual !== name ? `${usual} \u00b7 ${name}` : usual;
}

/** A combo shows its choices in the page's language; its value stays the API's word. */
function chooseWords(widget) {
  const values = widget.options?.values;
  if (!Array.isArray(values) || !values.some((value) => ZH[value])) return;
  const named = NAMED.includes(widget.name);
  const label = (value) => (named && !AMONG_NAMES.includes(value) ? String(value ?? "") : choice(value));
  widget.options.getOptionLabel = label; // what the newer front-ends ask
  if (Object.hasOwn(widget, "_displayValue")) return;
  Object.defineProperty(widget, "_displayValue", { configurable: true, get: () => label(widget.value) });
}

function switchWords(widget) {
  if (given.has(widget.options)) widget.options = { ...widget.options, ...given.get(widget.options) };
  const { on, off } = widget.options ?? {};
  if (language() !== "zh" || setting(TITLES) === "english" || on || off) return;
  widget.options = { ...widget.options, on: ZH.true, off: ZH.false };
  given.set(widget.options, { on, off });
}

function choice(value) {
  const mode = setting(TITLES);
  const word = language() === "zh" && mode !== "english" ? ZH[value] : undefined;
  if (!word) return String(value ?? "");
  return mode === "both" ? `${word} \u00b7 ${value}` : word;
}

/** The setting was changed: all nodes follow, and new ones too. */
export async function titlesChanged() {
  try {
    const mode = setting(TITLES) ?? "host";
    if (mode === "english" && language() !== "en") {
      english ??= (await (await api.fetchApi("/i18n")).json()).en?.nodeDefs ?? {};
    }
    const types = window["LiteGraph"]?.registered_node_types ?? {};
    for (const [id, type] of Object.entries(types)) {
      if (!id.startsWith("ImgOpen")) continue;
      if (!titles.has(id)) titles.set(id, type.title);
      const before = type.title;
      type.title = (mode === "english" && english?.[id]?.display_name) || titles.get(id);
      for (const node of nodes()) if (node.comfyClass === id && node.title === before) node.title = type.title;
    }
    for (const node of nodes()) if (String(node.comfyClass).startsWith("ImgOpen")) entitle(node);
    app.graph?.setDirtyCanvas?.(true, true);
  } catch (error) {
    report("titles", error);
  }
}

function nodes() {
  const graph = /** @type {any} */ (app.graph);
  return graph?._nodes ?? graph?.nodes ?? [];
}
