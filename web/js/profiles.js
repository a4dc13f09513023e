// Settings -> Img Open -> Profiles. Keys are typed here, sent once, and never come back to the page.

import { app } from "../../../scripts/app.js";
import { el, style } from "./dom.js";
import { call } from "./http.js";
import { setSetting, setting } from "./settings.js";
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
  const told = el("div", { class: profile.ready ? "dim" : "bad", style: "flex-basis: 100%" }, profile.problem);
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
    tell(told, new Error(`${result.message} ${result.hint}`));
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
  const field = (name, more = {}) => el("input", { name, autocomplete: "off", spellcheck: false, ...more });
  const keep = t(profile?.has_keys ? "leave empty to keep" : "none for a gateway on this machine");
  const inputs = {
    name: field("name", { value: profile?.name ?? "", readOnly: Boolean(profile), required: true }),
    base_url: field("base_url", { value: profile?.base_url ?? "", placeholder: "https://", required: true }),
    key_id: field("key_id", { placeholder: keep }),
    key_secret: field("key_secret", { type: "password", autocomplete: "new-password", placeholder: keep }),
    storage: choice("storage", ["", "inline", "s3", "served", "none"], profile?.storage),
    spend_limit_images: field("spend_limit_images", { type: "number", min: 0, value: profile?.spend_limit_images ?? 1000 }),
    max_concurrent: field("max_concurrent", { type: "number", min: 1, value: profile?.max_concurrent ?? 16 }),
  };
  const labels = {
    name: "name",
    base_url: "address",
    key_id: "key id",
    key_secret: "key secret",
    storage: "storage",
    spend_limit_images: "images per day",
    max_concurrent: "tasks at once",
  };
  const told = el("div", { class: "bad", style: "grid-column: 1 / 3" });
  const rows = Object.entries(inputs).flatMap(([name, input]) => [el("label", {}, t(labels[name])), input]);
  const buttons = el(
    "div",
    { style: "grid-column: 1 / 3; display: flex; gap: 6px" },
    el("button", { type: "submit" }, t("save")),
    el("button", { type: "button", onclick: () => refresh(root) }, t("cancel")),
  );
  const form = el("form", { autocomplete: "off" }, ...rows, told, buttons);
  form.addEventListener("keydown", (event) => event.stopPropagation()); // the canvas has keys of its own
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await save(profile, inputs);
      await refresh(root);
    } catch (error) {
      tell(told, error);
    } finally {
      inputs.key_id.value = inputs.key_secret.value = "";
    }
  });
  root.replaceChildren(form);
}

async function save(profile, inputs) {
  const kept = {};
  for (const name of ["dialect", "deadline_s", "per_minute", "allow_private_results", "auto_remote"]) {
    if (profile && profile[name] !== undefined) kept[name] = profile[name];
  }
  await call("POST", "/img_open/profiles", {
    ...kept,
    name: inputs.name.value.trim(),
    base_url: inputs.base_url.value.trim(),
    key_id: inputs.key_id.value,
    key_secret: inputs.key_secret.value,
    storage: inputs.storage.value,
    spend_limit_images: Number(inputs.spend_limit_images.value),
    max_concurrent: Number(inputs.max_concurrent.value),
  });
}

function choice(name, values, chosen) {
  const options = values.map((value) =>
    el("option", { value, selected: value === (chosen ?? "") }, value || t("usual for the server")),
  );
  return el("select", { name }, ...options);
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
