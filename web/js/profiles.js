// Settings -> Img Open -> Profiles. Keys are typed here, sent once, and never come back to the page.

import { app } from "../../../scripts/app.js";
import { el, style } from "./dom.js";
import { call } from "./http.js";
import { profileForm } from "./profile_form.js";
import { setSetting, setting } from "./settings.js";
import { tell as said } from "./tell.js";
import { t } from "./words.js";

/** The element for the settings page. */
export function profilesPanel() {
  style();
  const root = el("div", { class: "imgopen imgopen-profiles" });
  refresh(root);
  return root;
}

async function refresh(root) {
  try {
    const { profiles } = await call("GET", "/img_open/profiles");
    offer(profiles.map((one) => one.name).filter(Boolean));
    const rows = profiles.map((profile) => entry(root, profile));
    const add = el("button", { type: "button", onclick: () => edit(root, null) }, t("add a profile"));
    root.replaceChildren(...rows, el("div", {}, add));
  } catch (error) {
    root.replaceChildren(el("div", { class: "bad" }, error.message));
  }
}

function entry(root, profile) {
  const told = el("div", { class: profile.ready ? "dim" : "bad", style: "flex-basis: 100%" }, said(profile.problem));
  const act = (text, work, enabled = true) =>
    el("button", { type: "button", disabled: !enabled, onclick: () => work().catch((error) => tell(told, error)) }, text);
  const facts = [
    profile.base_url,
    profile.built_in ? t("built in") : t(profile.has_keys ? "with keys" : "without keys"),
    setting("ImgOpen.DefaultProfile") === profile.name ? t("default") : "",
  ];
  const who = el("div", { class: "who" }, el("b", {}, profile.name), el("div", { class: "dim" }, facts.filter(Boolean).join(" \u00b7 ")));
  const saved = !profile.built_in && profile.name;
  return el(
    "div",
    { class: "entry", "data-profile": profile.name },
    who,
    act(t("test"), () => test(profile, told), profile.ready),
    act(t("make default"), async () => {
      await setSetting("ImgOpen.DefaultProfile", profile.name);
      await refresh(root);
    }, Boolean(profile.name)),
    saved ? act(t("edit"), async () => edit(root, profile)) : null,
    saved ? act(t("remove"), () => remove(root, profile)) : null,
    told,
  );
}

function tell(element, error) {
  element.className = "bad";
  element.textContent = error.message;
}

async function test(profile, told) {
  told.className = "dim";
  told.textContent = "\u2026";
  const result = await call("POST", `/img_open/profiles/${encodeURIComponent(profile.name)}/test`);
  if (result.ok) {
    told.className = "good";
    told.textContent = t("It works. Models: {models}, {seconds} s.", result);
  } else {
    tell(told, new Error(said(result.message, result.hint)));
  }
}

async function remove(root, profile) {
  const question = t("Remove profile {name} and its keys?", { name: profile.name });
  if (!(await confirmed(question))) return;
  await call("DELETE", `/img_open/profiles/${encodeURIComponent(profile.name)}`);
  await refresh(root);
}

/** The host's own question, or the browser's. */
export async function confirmed(message) {
  const dialog = app.extensionManager?.dialog;
  if (dialog?.confirm) return Boolean(await dialog.confirm({ title: "Img Open", message }));
  return window.confirm(message);
}

function edit(root, profile) {
  root.replaceChildren(profileForm(profile, () => refresh(root)));
}

/** The profile combos of nodes learn new names without a reload of the page. */
function offer(names) {
  for (const node of app.graph?._nodes ?? app.graph?.nodes ?? []) {
    const widget = node.widgets?.find((one) => one.name === "profile");
    const values = widget?.options?.values;
    if (String(node.comfyClass).startsWith("ImgOpen") && Array.isArray(values)) {
      values.splice(0, values.length, ...names);
    }
  }
  const types = window["LiteGraph"]?.registered_node_types ?? {};
  for (const [type, made] of Object.entries(types)) {
    const entry = type.startsWith("ImgOpen") && made.nodeData?.input?.required?.profile;
    if (entry?.[1]?.options) entry[1].options = names;
    else if (Array.isArray(entry?.[0])) entry[0] = names;
  }
}
