// Requests that are pasted or dropped on the canvas: Img Open JSON, curl, web-UI JSON, web-UI pictures.

import { app } from "../../../scripts/app.js";
import { call } from "./http.js";
import { build, show } from "./plan.js";
import { safe } from "./safe.js";
import { setting } from "./settings.js";
import { t } from "./words.js";

const LONGEST = 64 * 1024 * 1024;

/** Whether a text is a request in one of the dialects, and not a workflow of the host. */
export function isRequest(text) {
  const start = text.trimStart().slice(0, 400);
  if (text.length > LONGEST) return false;
  if (/^(\$ |> |sudo )?\S*curl(\.exe)?[\s"']/i.test(start)) {
    return /AIGCImgOpenServ|\/sdapi\/v1\/|alwayson_scripts|"prompt"/.test(text);
  }
  if (/^Steps: \d+,/m.test(text) && /^Steps: \d+, .*(Sampler|Seed|CFG scale): /m.test(text)) return true;
  if (!start.startsWith("{")) return false;
  return isRequestJson(parsed(text));
}

/** What is wrong with a text that was meant as a request and is not JSON; "" for any other text. */
export function brokenRequest(text) {
  const start = text.trimStart();
  if (!start.startsWith("{") || text.length > LONGEST) return "";
  if (!/["'\u201c]?(prompt|alwayson_scripts)["'\u201d]?\s*[:\uff1a]/.test(text)) return "";
  try {
    JSON.parse(text);
  } catch (error) {
    return String(error?.message ?? error);
  }
  return "";
}

/** Say what is wrong with a text that only looks like a request; whether something was said. */
function complainAbout(text) {
  const problem = brokenRequest(text);
  if (problem) complain(new Error(t("The text looks like a request, but is not JSON: {problem}", { problem })));
  return Boolean(problem);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function isRequestJson(value) {
  if (!value || typeof value !== "object" || Array.isArray(value) || "nodes" in value) return false;
  if (value.alwayson_scripts && typeof value.alwayson_scripts === "object") return true;
  const marks = ["steps", "sampler_index", "sampler_name", "cfg_scale", "init_images", "negative_prompt"];
  return typeof value.prompt === "string" && marks.some((name) => name in value);
}

/** The PNG's text of the web UI, when there is one and no workflow of the host beside it. */
export async function webUiPicture(file) {
  if (file.type !== "image/png") return false;
  const data = new DataView(await file.arrayBuffer());
  if (data.byteLength < 16 || data.getUint32(0) !== 0x89504e47) return false;
  const names = new Set();
  for (let at = 8; at + 12 <= data.byteLength; ) {
    const length = data.getUint32(at);
    const kind = ascii(data, at + 4, 4);
    if (kind === "tEXt" || kind === "iTXt") names.add(keyword(data, at + 8, Math.min(length, 80)));
    if (kind === "IDAT" || kind === "IEND") break;
    at += 12 + length;
  }
  return names.has("parameters") && !names.has("workflow") && !names.has("prompt");
}

function ascii(data, at, length) {
  let text = "";
  for (let i = 0; i < length && at + i < data.byteLength; i++) text += String.fromCharCode(data.getUint8(at + i));
  return text;
}

function keyword(data, at, length) {
  return ascii(data, at, length).split("\0")[0];
}

/** Put a request on the canvas. */
export async function place(body, at) {
  const profile = setting("ImgOpen.DefaultProfile");
  const plan = await call("POST", "/img_open/import", { ...body, profile });
  const nodes = build(plan, at);
  show(nodes);
  app.extensionManager?.toast?.add({
    severity: plan.notices.length ? "warn" : "success",
    summary: "Img Open",
    detail: t("The request is on the canvas."),
    life: 3000,
  });
  return nodes;
}

async function placeFile(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text = "";
  for (let at = 0; at < bytes.length; at += 32768) {
    text += String.fromCharCode(...bytes.subarray(at, at + 32768));
  }
  return place({ file: btoa(text) });
}

/** Tell the user what went wrong. */
export function complain(error) {
  app.extensionManager?.toast?.add({
    severity: "error",
    summary: "Img Open",
    detail: String(error?.message ?? error),
    life: 10000,
  });
}

const orComplain = (work) => work.catch(complain);

/** Listen; called once. */
export function listen() {
  document.addEventListener("paste", safe("paste", onPaste), true);
  document.addEventListener("drop", safe("drop", onDrop), true);
  const before = app.handleFile;
  if (typeof before === "function") {
    app.handleFile = async function (file, ...rest) {
      if (await safe("file", ours)(file)) return orComplain(placeOurs(file));
      return before.call(this, file, ...rest);
    };
  }
}

function typing(target) {
  return target instanceof Element && Boolean(target.closest("input, textarea, [contenteditable=true]"));
}

/** Pastes that were looked at and are the host's. */
const passed = new WeakSet();

function onPaste(event) {
  if (typing(event.target) || passed.has(event)) return;
  const text = event.clipboardData?.getData("text/plain") ?? "";
  if (text && isRequest(text)) {
    event.preventDefault();
    event.stopImmediatePropagation();
    orComplain(place({ text }));
    return;
  }
  complainAbout(text); // the host goes on with it as ever
  const picture = setting("ImgOpen.TakePictures") !== false && pngOf(event.clipboardData);
  if (!picture || picture.size > LONGEST) return;
  // Reading the picture takes a moment, and the host would not wait: it gets the same paste again afterwards.
  const again = copyOf(event);
  event.preventDefault();
  event.stopImmediatePropagation();
  orComplain(pastePicture(picture, again, event.target));
}

/** The picture in the clipboard, if it is a PNG. */
function pngOf(data) {
  return [...(data?.files ?? [])].find((file) => file.type === "image/png") ?? null;
}

/** The same paste as a new event; the clipboard of the first one can only be read while that one is handled. */
function copyOf(event) {
  const data = new DataTransfer();
  for (const file of event.clipboardData.files) data.items.add(file);
  for (const type of event.clipboardData.types) {
    if (type !== "Files") data.setData(type, event.clipboardData.getData(type));
  }
  return new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
}

async function pastePicture(picture, again, target) {
  if (await safe("pasted picture", webUiPicture)(picture)) return placeFile(picture);
  passed.add(again);
  (target?.isConnected ? target : document).dispatchEvent(again);
}

function onDrop(event) {
  if (typing(event.target) || event.dataTransfer?.files?.length) return;
  const text = event.dataTransfer?.getData("text/plain") ?? "";
  if (!text) return;
  if (!isRequest(text)) {
    complainAbout(text);
    return;
  }
  event.preventDefault();
  event.stopImmediatePropagation();
  orComplain(place({ text }));
}

async function ours(file) {
  if (!(file instanceof File) || file.size > LONGEST) return false;
  if (file.type === "application/json" || /\.(json|txt|sh)$/i.test(file.name)) return isRequest(await file.text());
  return setting("ImgOpen.TakePictures") !== false && (await webUiPicture(file));
}

async function placeOurs(file) {
  return file.type === "image/png" ? placeFile(file) : place({ text: await file.text() });
}
