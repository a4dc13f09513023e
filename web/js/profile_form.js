// The form of one profile: server, keys, how pictures travel, limits.

import { el } from "./dom.js";
import { call } from "./http.js";
import { t } from "./words.js";

/** What a text, number or yes-or-no of the form is: [name, label, kind, the profile's own default]. */
const LIMITS = [
  ["spend_limit_images", "images per day (0: no limit)", "number", 1000],
  ["per_minute", "submits per minute (0: no limit)", "number", 0],
  ["max_concurrent", "tasks at once", "number", 16],
  ["deadline_s", "wait for a task, seconds", "number", 1800],
  ["poll_s", "first pause between questions, seconds", "number", 0.5],
  ["poll_most_s", "longest pause between questions, seconds", "number", 5],
  ["allow_private_results", "results may come from private addresses", "switch", false],
  ["auto_remote", "auto nodes may choose this server", "switch", false],
];
const LINK = ["link_seconds", "life of a link, seconds", "number"];
const PHOTO = [["photo", "photographs travel as", ["", "png", "jpeg"]], ["jpeg_quality", "JPEG quality", "number"]];
/** The options of each way in which pictures travel; see docs/storage.md. */
const STORAGE = {
  "": [],
  none: [],
  inline: PHOTO,
  served: [["public_url", "public address (https)", "text"], ["host", "listen on", "text"], ["port", "port", "number"],
    LINK, ...PHOTO],
  s3: [["bucket", "bucket", "text"], ["endpoint_url", "address of the storage", "text"], ["region", "region", "text"],
    ["prefix", "prefix", "text"], LINK, ["path_style", "bucket in the path", "switch"],
    ["access_key_id", "bucket key id", "secret"], ["secret_access_key", "bucket key secret", "secret"], ...PHOTO],
}; // prettier-ignore
const WAYS = { "": "usual for the server", inline: "inside the request (gateways)", s3: "through a bucket (S3)",
  served: "through a tunnel to this machine", none: "links only" }; // prettier-ignore
const DIALECTS = { "": "usual for the server", cloud: "cloud: the published API", gateway: "gateway of this pack" };

/**
 * @param {any} profile what the route told, or null for a new one
 * @param {() => Promise<void>} done after saving, and after giving up
 */
export function profileForm(profile, done) {
  const keep = t(profile?.has_keys ? "leave empty to keep" : "none for a gateway on this machine");
  const main = {
    name: input({ name: "name", value: profile?.name ?? "", readOnly: Boolean(profile), required: true }),
    base_url: input({ name: "base_url", value: profile?.base_url ?? "", placeholder: "https://", required: true }),
    key_id: input({ name: "key_id", placeholder: keep }),
    key_secret: input({ name: "key_secret", type: "password", autocomplete: "new-password", placeholder: keep }),
    dialect: choice("dialect", DIALECTS, profile?.dialect),
    storage: choice("storage", WAYS, profile?.storage),
  };
  const labels = { name: "name", base_url: "address", key_id: "key id", key_secret: "key secret",
    dialect: "kind of server", storage: "storage" }; // prettier-ignore
  const limits = Object.fromEntries(LIMITS.map(([name, , kind, usual]) =>
    [name, made(String(name), kind, profile?.[String(name)] ?? usual)]));
  const ways = el("div", { class: "imgopen-rows" });
  let options = {};
  const showWay = () => {
    const fields = STORAGE[main.storage.value] ?? [];
    options = Object.fromEntries(fields.map(([name, , kind]) =>
      [name, made(`storage_${name}`, kind, profile?.storage_options?.[name], profile?.has_bucket_keys)]));
    ways.replaceChildren(...fields.flatMap(([name, text]) => row(text, options[name])));
    ways.hidden = !fields.length;
  };
  main.storage.addEventListener("change", showWay);
  showWay();
  const told = el("div", { class: "bad", role: "alert" });
  const form = el("form", { autocomplete: "off" },
    el("div", { class: "imgopen-rows" }, ...Object.entries(main).flatMap(([name, field]) => row(labels[name], field))),
    ways,
    el("details", {}, el("summary", {}, t("limits")),
      el("div", { class: "imgopen-rows" }, ...LIMITS.flatMap(([name, text]) => row(String(text), limits[String(name)])))),
    told,
    el("div", { class: "imgopen-buttons" },
      el("button", { type: "submit" }, t("save")),
      el("button", { type: "button", onclick: () => done() }, t("cancel"))));
  form.addEventListener("keydown", (event) => event.stopPropagation()); // the canvas has keys of its own
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    told.textContent = "";
    try {
      await call("POST", "/img_open/profiles", body(main, options, limits));
      await done();
    } catch (error) {
      told.textContent = error.message;
    } finally {
      for (const secret of form.querySelectorAll(".imgopen-secret, [name=key_id], [name=key_secret]")) secret["value"] = "";
    }
  });
  return form;
}

function body(main, options, limits) {
  const values = (fields) => Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, value(field)]));
  const told = { ...values(main), ...values(limits) };
  if (Object.keys(options).length) told.storage_options = values(options);
  return told;
}

function value(field) {
  if (field.type === "checkbox") return field.checked;
  if (field.type === "number") return field.value === "" ? "" : Number(field.value);
  return field.name.includes("key_") ? field.value : field.value.trim();
}

function row(text, field) {
  const id = `imgopen-${field.name}`;
  field.id = id;
  return [el("label", { htmlFor: id }, t(text)), field];
}

function input(more) {
  return el("input", { autocomplete: "off", spellcheck: false, ...more });
}

function made(name, kind, current, kept = false) {
  if (Array.isArray(kind)) return choice(name, Object.fromEntries(kind.map((one) => [one, one || "usual"])), current);
  if (kind === "switch") return el("input", { name, type: "checkbox", checked: Boolean(current) });
  if (kind === "number") return input({ name, type: "number", min: 0, step: "any", value: current ?? "" });
  if (kind === "secret") {
    const placeholder = kept ? t("leave empty to keep") : "";
    return input({ name, type: "password", autocomplete: "new-password", class: "imgopen-secret", placeholder });
  }
  return input({ name, value: current ?? "" });
}

function choice(name, texts, chosen) {
  const options = Object.entries(texts).map(([value, text]) =>
    el("option", { value, selected: value === (chosen ?? "") }, t(text)));
  return el("select", { name }, ...options);
}
