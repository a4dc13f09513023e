// Texts of panels, menus and sliders in English and Chinese. Titles and tooltips of nodes, settings and commands
// are in locales/.

import { app } from "../../../scripts/app.js";

const ZH = {
  // sliders
  Resolution: "\u5206\u8fa8\u7387",
  "Low Threshold": "\u4f4e\u9608\u503c",
  "High Threshold": "\u9ad8\u9608\u503c",
  "Binarization Threshold": "\u4e8c\u503c\u5316\u9608\u503c",
  "XDoG Threshold": "XDoG \u9608\u503c",
  "MLSD Value Threshold": "MLSD \u6570\u503c\u9608\u503c",
  "MLSD Distance Threshold": "MLSD \u8ddd\u79bb\u9608\u503c",
  "Normal Background Threshold": "\u6cd5\u7ebf\u80cc\u666f\u9608\u503c",
  "Style Fidelity": "\u98ce\u683c\u4fdd\u771f\u5ea6",
  "Safe Steps": "\u5b89\u5168\u6b65\u6570",
  "Remove Near %": "\u53bb\u9664\u8fd1\u666f %",
  "Remove Background %": "\u53bb\u9664\u80cc\u666f %",
  Variation: "\u53d8\u5316",
  "Gamma Correction": "\u4f3d\u9a6c\u6821\u6b63",
  "Noise Augmentation": "\u566a\u58f0\u589e\u5f3a",
  Fov: "\u89c6\u573a\u89d2",
  Iterations: "\u8fed\u4ee3\u6b21\u6570",
  "Max Faces": "\u6700\u591a\u4eba\u8138\u6570",
  "Min Face Confidence": "\u6700\u4f4e\u4eba\u8138\u7f6e\u4fe1\u5ea6",
  "Down Sampling Rate": "\u4e0b\u91c7\u6837\u500d\u7387",
  Sharpness: "\u9510\u5316\u7a0b\u5ea6",
  Sigma: "\u9ad8\u65af\u6a21\u7cca Sigma",
  "{label} of {module}: {low} to {high}, step {step}, default {value}.":
    "{module} \u7684{label}\uff1a{low} \u5230 {high}\uff0c\u6b65\u957f {step}\uff0c\u9ed8\u8ba4 {value}\u3002",
  "-1 is the default.": "-1 \u8868\u793a\u9ed8\u8ba4\u503c\u3002",
  // paste, menus
  "Img Open request": "Img Open \u8bf7\u6c42",
  "What could not be taken over": "\u672a\u80fd\u5bfc\u5165\u7684\u5185\u5bb9",
  "The request is on the canvas.": "\u8bf7\u6c42\u5df2\u653e\u5230\u753b\u5e03\u4e0a\u3002",
  "Img Open: copy as curl": "Img Open\uff1a\u590d\u5236\u4e3a curl",
  "Img Open: copy as Img Open JSON": "Img Open\uff1a\u590d\u5236\u4e3a Img Open JSON",
  "Img Open: copy as web-UI JSON": "Img Open\uff1a\u590d\u5236\u4e3a web UI JSON",
  "Img Open: preview the control image": "Img Open\uff1a\u9884\u89c8\u63a7\u5236\u56fe",
  "preview control image": "\u9884\u89c8\u63a7\u5236\u56fe",
  "Copied.": "\u5df2\u590d\u5236\u3002",
  "Wire a picture to preview its control image.":
    "\u8bf7\u5148\u8fde\u63a5\u56fe\u7247\uff0c\u518d\u9884\u89c8\u63a7\u5236\u56fe\u3002",
  "The control image could not be made.": "\u63a7\u5236\u56fe\u751f\u6210\u5931\u8d25\u3002",
  "Copy this:": "\u8bf7\u590d\u5236\uff1a",
  // node status
  "copy seeds": "\u590d\u5236\u79cd\u5b50",
  "copy task id": "\u590d\u5236\u4efb\u52a1\u53f7",
  "images paid: {count}, {profile}": "\u5df2\u8ba1\u8d39 {count} \u5f20\uff0c{profile}",
  "audit: {labels}": "\u5ba1\u6838\uff1a{labels}",
  "open profiles": "\u6253\u5f00\u914d\u7f6e",
  "open tasks": "\u6253\u5f00\u4efb\u52a1",
  "copy: img-open models pull": "\u590d\u5236\uff1aimg-open models pull",
  // tasks
  "Img Open tasks": "Img Open \u4efb\u52a1",
  "all states": "\u5168\u90e8\u72b6\u6001",
  prepared: "\u5df2\u51c6\u5907",
  submitted: "\u5df2\u63d0\u4ea4",
  running: "\u8fd0\u884c\u4e2d",
  done: "\u5b8c\u6210",
  failed: "\u5931\u8d25",
  cancelled: "\u5df2\u53d6\u6d88",
  uncertain: "\u4e0d\u786e\u5b9a",
  lost: "\u5df2\u4e22\u5931",
  queued: "\u6392\u961f\u4e2d",
  downloading: "\u4e0b\u8f7d\u4e2d",
  sampling: "\u91c7\u6837\u4e2d",
  attaching: "\u63a5\u56de\u4e2d",
  "tasks: {count}": "\u4efb\u52a1\u6570\uff1a{count}",
  "No tasks yet. Remote Submit files every request here.":
    "\u8fd8\u6ca1\u6709\u4efb\u52a1\u3002\u8fdc\u7a0b\u63d0\u4ea4\u7684\u6bcf\u4e2a\u8bf7\u6c42\u90fd\u4f1a\u8bb0\u5728\u8fd9\u91cc\u3002",
  "purge finished": "\u6e05\u9664\u5df2\u7ed3\u675f",
  "Remove all finished tasks and their pictures from this machine?":
    "\u8981\u4ece\u672c\u673a\u5220\u9664\u6240\u6709\u5df2\u7ed3\u675f\u7684\u4efb\u52a1\u53ca\u5176\u56fe\u7247\u5417\uff1f",
  "tasks removed: {count}": "\u5df2\u5220\u9664\u4efb\u52a1\uff1a{count}",
  cancel: "\u53d6\u6d88",
  "re-attach": "\u63a5\u56de",
  retry: "\u91cd\u8bd5",
  drop: "\u653e\u5f03",
  open: "\u653e\u5230\u753b\u5e03",
  "copy the request as Img Open JSON": "\u590d\u5236\u8bf7\u6c42",
  remove: "\u5220\u9664",
  copy: "\u590d\u5236",
  "Its next run submits it again under the same id.":
    "\u4e0b\u6b21\u8fd0\u884c\u65f6\u5c06\u4ee5\u540c\u4e00\u4efb\u52a1\u53f7\u91cd\u65b0\u63d0\u4ea4\u3002",
  // profiles
  name: "\u540d\u79f0",
  address: "\u5730\u5740",
  "key id": "\u5bc6\u94a5 ID",
  "key secret": "\u5bc6\u94a5",
  storage: "\u56fe\u7247\u4f20\u9001",
  "images per day": "\u6bcf\u65e5\u56fe\u7247\u4e0a\u9650",
  "tasks at once": "\u540c\u65f6\u4efb\u52a1\u6570",
  "usual for the server": "\u6309\u670d\u52a1\u5668\u9ed8\u8ba4",
  "leave empty to keep": "\u7559\u7a7a\u5219\u4e0d\u53d8",
  "none for a gateway on this machine": "\u672c\u673a\u7f51\u5173\u65e0\u9700\u586b\u5199",
  save: "\u4fdd\u5b58",
  edit: "\u7f16\u8f91",
  test: "\u6d4b\u8bd5",
  "make default": "\u8bbe\u4e3a\u9ed8\u8ba4",
  default: "\u9ed8\u8ba4",
  "built in": "\u5185\u7f6e",
  "add a profile": "\u6dfb\u52a0\u914d\u7f6e",
  "Saved {name}.": "\u5df2\u4fdd\u5b58 {name}\u3002",
  "It works. Models: {models}, {seconds} s.": "\u53ef\u7528\uff1a{models} \u4e2a\u6a21\u578b\uff0c{seconds} \u79d2\u3002",
  "Remove profile {name} and its keys?": "\u8981\u5220\u9664\u914d\u7f6e {name} \u53ca\u5176\u5bc6\u94a5\u5417\uff1f",
  "with keys": "\u6709\u5bc6\u94a5",
  "without keys": "\u65e0\u5bc6\u94a5",
};

/** The language of the page, "zh" or "en". */
export function language() {
  const chosen = String(app.ui?.settings?.getSettingValue?.("Comfy.Locale") ?? navigator.language ?? "en");
  return chosen.toLowerCase().startsWith("zh") ? "zh" : "en";
}

/** The text in the page's language, with {names} filled in. */
export function t(text, values = {}) {
  const words = language() === "zh" ? (ZH[text] ?? text) : text;
  return words.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}
