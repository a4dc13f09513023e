// The node menu: copy the request of a Remote Submit node and its units as text.

import { app } from "../../../scripts/app.js";
import { copy } from "./copy.js";
import { call } from "./http.js";
import { complain } from "./paste.js";
import { canPreview, preview } from "./preview.js";
import { report } from "./safe.js";
import { stored } from "./sliders.js";
import { tell } from "./tell.js";
import { t } from "./words.js";

const SUBMITS = ["ImgOpenRemoteSubmit", "ImgOpenGenerate"];
const UNIT = "ImgOpenControlNetApply";
const FORMATS = { "Img Open: copy as curl": "curl", "Img Open: copy as Img Open JSON": "img-open",
  "Img Open: copy as web-UI JSON": "web-ui" }; // prettier-ignore

/** The entries for a node, in the form of LiteGraph's menus. */
export function entries(node) {
  try {
    const found = [];
    if (SUBMITS.includes(node.comfyClass)) {
      for (const [text, format] of Object.entries(FORMATS)) {
        found.push({ content: t(text), callback: () => copyNode(node, format).catch(complain) });
      }
    }
    if (canPreview(node)) {
      found.push({
        content: t("Img Open: preview the control image"),
        callback: () => preview(node).catch(complain),
      });
    }
    return found;
  } catch (error) {
    report("menu", error);
    return [];
  }
}

async function copyNode(node, format) {
  const canvas = collect(node);
  const { text, notices } = await call("POST", "/img_open/export", {
    format,
    canvas,
    profile: canvas.widgets.profile ?? "",
  });
  await copy(text);
  if (notices.length) {
    app.extensionManager?.toast?.add({
      severity: "warn",
      summary: "Img Open",
      detail: notices.slice(0, 6).map((text) => tell(text)).join("\n"),
      life: 8000,
    });
  }
}

/** The request of a node as the server wants it: values, wired inputs, pictures, units first to last. */
export function collect(node) {
  const units = [];
  for (let unit = source(node, "units"); unit?.comfyClass === UNIT && units.length < 64; ) {
    units.unshift(part(unit));
    unit = source(unit, "units");
  }
  return { ...part(node), units };
}

function part(node) {
  const widgets = {};
  for (const widget of node.widgets ?? []) {
    if (widget.serialize !== false && widget.type !== "button") widgets[widget.name] = stored(widget);
  }
  const wired = (node.inputs ?? []).filter((input) => input.link != null).map((input) => input.name);
  const pictures = {};
  for (const name of wired) {
    const from = source(node, name);
    if (from?.comfyClass?.startsWith("LoadImage")) {
      pictures[name] = from.widgets?.find((widget) => widget.name === "image")?.value;
    }
  }
  const notes = node.properties?.img_open?.notes ?? [];
  return { type: node.comfyClass, widgets, wired, pictures, notes };
}

/** The node behind an input, through reroutes. */
function source(node, name) {
  const slot = (node.inputs ?? []).findIndex((input) => input.name === name);
  let found = slot < 0 ? null : node.getInputNode(slot);
  for (let hops = 0; found?.type === "Reroute" && hops < 32; hops++) found = found.getInputNode(0);
  return found ?? null;
}
