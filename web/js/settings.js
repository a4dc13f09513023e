// The page "Img Open" of the settings. Names and tooltips of other languages are in locales/*/settings.json.

import { app } from "../../../scripts/app.js";
import { safe } from "./safe.js";

export const CATEGORY = "Img Open";

/** The value of a setting. */
export function setting(id) {
  return app.ui?.settings?.getSettingValue?.(id);
}

/** Change a setting. */
export async function setSetting(id, value) {
  const settings = app.ui?.settings;
  await (settings?.setSettingValueAsync?.(id, value) ?? settings?.setSettingValue?.(id, value));
}

/**
 * What the host is to show; `panel` makes the element of the profiles, `retitle` follows the setting of titles,
 * `refold` that of all inputs.
 * @returns {any[]}
 */
export function definitions(panel, retitle, refold) {
  return [
    {
      id: "ImgOpen.Profiles",
      category: [CATEGORY, "Img Open profiles", "Profiles"],
      name: "Profiles",
      tooltip: "Servers and keys. They stay in a file on the server's machine; a key never comes back here.",
      type: () => safe("profiles panel", panel)() ?? document.createElement("div"),
      defaultValue: "",
    },
    {
      id: "ImgOpen.DefaultProfile",
      category: [CATEGORY, "Img Open profiles", "DefaultProfile"],
      name: "Profile of new nodes",
      tooltip: "Which profile a new Remote Submit node, or a pasted request, begins with.",
      type: "text",
      defaultValue: "cloud",
    },
    {
      id: "ImgOpen.WindowMode",
      category: [CATEGORY, "Img Open nodes", "WindowMode"],
      name: "Window mode of new ControlNet units",
      tooltip: "steps: guidance_start and guidance_end as the web UI counts them. sigma: as ComfyUI does.",
      type: "combo",
      options: ["steps", "sigma"],
      defaultValue: "steps",
    },
    {
      id: "ImgOpen.Titles",
      category: [CATEGORY, "Img Open nodes", "Titles"],
      name: "Titles of inputs",
      tooltip: "In ComfyUI's language, with the API's own word beside it, or in English.",
      type: "combo",
      options: [
        { text: "host", value: "host" },
        { text: "both", value: "both" },
        { text: "english", value: "english" },
      ],
      defaultValue: "host",
      onChange: () => setTimeout(safe("titles", retitle)),
    },
    {
      id: "ImgOpen.TakePictures",
      category: [CATEGORY, "Img Open nodes", "TakePictures"],
      name: "Web-UI pictures become Img Open nodes",
      tooltip: "A dropped, opened or pasted PNG of the web UI becomes Img Open nodes. Off: ComfyUI's own import.",
      type: "boolean",
      defaultValue: true,
    },
    {
      id: "ImgOpen.ShowAll",
      category: [CATEGORY, "Img Open nodes", "ShowAll"],
      name: "Show all inputs",
      tooltip: "Off: a node shows the usual inputs, those that have a value, and the rest behind a button.",
      type: "boolean",
      defaultValue: false,
      onChange: () => setTimeout(safe("fold", refold)),
    },
  ];
}

/** New nodes begin with what the settings say; nodes from a workflow get their own values afterwards. */
export function preset(node) {
  const values = { profile: setting("ImgOpen.DefaultProfile"), window_mode: setting("ImgOpen.WindowMode") };
  for (const [name, value] of Object.entries(values)) {
    const widget = node.widgets?.find((one) => one.name === name);
    const choices = widget?.options?.values;
    if (value && Array.isArray(choices) && choices.includes(value)) widget.value = value;
  }
}

/** Open the settings; the page of the pack is in its list. */
export function openSettings() {
  app.extensionManager?.command?.execute?.("Comfy.ShowSettingsDialog");
}
