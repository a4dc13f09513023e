// Text to the clipboard, or into a window where the browser does not allow it (http on another machine).

import { app } from "../../../scripts/app.js";
import { el } from "./dom.js";
import { t } from "./words.js";

/** Copy a text and say so. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    offer(text);
    return;
  }
  app.extensionManager?.toast?.add({ severity: "success", summary: "Img Open", detail: t("Copied."), life: 2000 });
}

function offer(text) {
  const area = el("textarea", { value: text, readOnly: true, rows: 16, style: "width: 100%; font-family: monospace" });
  const dialog = el("dialog", { class: "imgopen", style: "width: min(700px, 90vw)" },
    el("p", {}, t("Copy this:")), area,
    el("button", { type: "button", onclick: () => dialog.close() }, "OK"));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  area.select();
}
