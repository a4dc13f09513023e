// Img Open for ComfyUI on the canvas. Every hook is wrapped: a failure is logged once and breaks nothing.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { addAgain } from "./again.js";
import { foldAll, folds, follow as followFold } from "./fold.js";
import { entries } from "./menu.js";
import { addBrowse, browseSelected } from "./model_fields.js";
import { offerModels } from "./model_field_choice.js";
import { complain, listen, place } from "./paste.js";
import { addButton, canPreview, ofNode, onExecuted, onText as onMapText } from "./preview.js";
import { profilesPanel } from "./profiles.js";
import { safe } from "./safe.js";
import { definitions, preset, setting } from "./settings.js";
import { apply, concerned, follow, load } from "./sliders.js";
import { nodeOf, onError, onStart, onText } from "./status.js";
import { openTasks, registerTasks } from "./tasks.js";
import { TITLES, entitle, titlesChanged } from "./titles.js";
import { loadMessages, tellError, tellNodeText } from "./tell.js";

const OURS = /^ImgOpen/;

/** From front-end 1.29 on the host asks for menu entries itself; before, a node's method is extended. */
function hostAsksForMenus() {
  const [major, minor] = String(window["__COMFYUI_FRONTEND_VERSION__"] ?? "").split(".").map(Number);
  return major > 1 || (major === 1 && minor >= 29);
}

function graphNodes() {
  const graph = /** @type {any} */ (app.graph);
  return graph?._nodes ?? graph?.nodes ?? [];
}

function extendMenu(nodeType) {
  const before = nodeType.prototype.getExtraMenuOptions;
  nodeType.prototype.getExtraMenuOptions = function (canvas, options) {
    const result = before?.call(this, canvas, options);
    const found = entries(this);
    if (found.length) options.unshift(...found, null);
    return result;
  };
}

/** Texts of the server are put into the page's language before the host's own listeners show them. */
function translateEvents() {
  const host = /** @type {any} */ (api);
  const before = host.dispatchCustomEvent;
  if (typeof before !== "function") return;
  const translate = safe("text of the server", (type, detail) => {
    if (type === "progress_text") tellNodeText(detail, nodeOf(detail?.nodeId));
    if (type === "execution_error") tellError(detail);
  });
  host.dispatchCustomEvent = function (type, detail, ...rest) {
    translate(type, detail);
    return before.call(this, type, detail, ...rest);
  };
}

async function pasteFromClipboard() {
  try {
    await place({ text: await navigator.clipboard.readText() });
  } catch (error) {
    complain(error);
  }
}

app.registerExtension({
  name: "ImgOpen",
  settings: definitions(profilesPanel, titlesChanged, () => foldAll(graphNodes())),
  commands: [
    { id: "ImgOpen.OpenTasks", label: "Img Open: show tasks", icon: "pi pi-cloud", function: safe("command", openTasks) },
    { id: "ImgOpen.Paste", label: "Img Open: paste a request", icon: "pi pi-clipboard", function: pasteFromClipboard },
    { id: "ImgOpen.Models", label: "Img Open: models", icon: "pi pi-images", function: safe("command", browseSelected) },
  ],
  menuCommands: [{ path: ["Img Open"], commands: ["ImgOpen.OpenTasks", "ImgOpen.Paste", "ImgOpen.Models"] }],

  setup: safe("setup", () => {
    listen();
    registerTasks();
    loadMessages();
    translateEvents();
    if (setting(TITLES) === "english") titlesChanged();
    api.addEventListener("executed", safe("executed", (event) => onExecuted(event.detail)));
    api.addEventListener("progress_text", safe("progress_text", (event) => onText(event.detail)));
    api.addEventListener("progress_text", safe("map text", (event) => onMapText(event.detail)));
    api.addEventListener("execution_error", safe("execution_error", (event) => onError(ofNode(event.detail))));
    api.addEventListener("executing", safe("executing", (event) => onStart(event.detail)));
    // The table of modules is not waited for: nodes that are there already follow it when it has come.
    load().then(
      safe("sliders", () => {
        for (const node of graphNodes()) {
          if (OURS.test(node.comfyClass) && concerned(node)) apply(node, false);
        }
      }),
      (error) => console.warn("[Img Open] The table of modules did not come:", error),
    );
  }),

  beforeRegisterNodeDef: safe("menu", (nodeType, nodeData) => {
    if (OURS.test(nodeData.name) && !hostAsksForMenus()) extendMenu(nodeType);
  }),

  getNodeMenuItems(node) {
    const found = OURS.test(node?.comfyClass) ? entries(node) : [];
    return found.length ? [...found, null] : [];
  },

  nodeCreated: safe("node", (node) => {
    if (!OURS.test(node.comfyClass)) return;
    preset(node);
    entitle(node);
    if (concerned(node)) follow(node);
    if (canPreview(node)) addButton(node, complain);
    addBrowse(node);
    safe("model list", offerModels)(node);
    safe("new picture", addAgain)(node);
    if (folds(node)) followFold(node);
  }),

  loadedGraphNode: safe("loaded node", (node) => {
    if (OURS.test(node.comfyClass) && concerned(node)) apply(node, false);
  }),
});
