// "New picture": a button on nodes that paint with a random seed. On this machine a new run draws a new seed; for a
// server `run_again` is counted up, without which an unchanged request keeps its picture and is not paid again.

import { app } from "../../../scripts/app.js";
import { call } from "./http.js";
import { complain } from "./paste.js";
import { afterMethod, report, safe } from "./safe.js";
import { hide } from "./sliders.js";
import { t } from "./words.js";

const NODES = ["ImgOpenGenerate", "ImgOpenRemoteSubmit", "ImgOpenSubmitAsync"];
const BUTTON = "img_open_again";
const KEEP = 10000; // milliseconds
const MOST = 4294967295; // of run_again
let known = { at: 0, coming: /** @type {Promise<Set<string>> | null} */ (null) };

/** Whether the pictures of a profile are paid: its server is the cloud. */
export async function isPaid(profile) {
  if (!known.coming || Date.now() - known.at > KEEP) known = { at: Date.now(), coming: paidProfiles() };
  return (await known.coming).has(profile);
}

async function paidProfiles() {
  try {
    const { profiles } = await call("GET", "/img_open/profiles");
    // The built-in one without keys says nothing of its dialect.
    return new Set(profiles.filter((one) => one.built_in || one.dialect === "cloud").map((one) => one.name));
  } catch (error) {
    report("new picture: profiles", error);
    return new Set(["cloud"]);
  }
}

/** Add the button to a new node; no workflow stores it. */
export function addAgain(node) {
  if (!NODES.includes(node.comfyClass)) return;
  const press = () => again(node).catch(complain);
  const button = node.addWidget("button", BUTTON, null, press, { serialize: false });
  button.serialize = false;
  button.label = t("new picture");
  const update = safe("new picture", () => label(node));
  for (const widget of node.widgets) {
    if (!["run_on", "profile", "seed"].includes(widget.name)) continue;
    const before = widget.callback;
    widget.callback = function (...args) {
      const result = before?.apply(this, args);
      update();
      return result;
    };
  }
  for (const method of ["onConfigure", "onConnectionsChange"]) {
    afterMethod(node, method, "new picture", () => setTimeout(update));
  }
  setTimeout(update); // whoever made the node gives it its values now
}

const named = (node, name) => node.widgets.find((one) => one.name === name);
const wired = (node, name) => (node.inputs ?? []).some((input) => input.name === name && input.link != null);
const here = (node) => named(node, "run_on")?.value === "local";

/** Without a random seed there is no other picture to be had: no button. */
async function label(node) {
  const button = named(node, BUTTON);
  if (!button) return;
  const random = !wired(node, "seed") && named(node, "seed")?.value === -1;
  const steered = !here(node) && wired(node, "run_again"); // a wire says when the request is a new one
  if (Boolean(button.hidden) === (random && !steered)) {
    const before = node.computeSize()[1];
    hide(button, !random || steered);
    node.setSize([node.size[0], node.computeSize()[1] + Math.max(0, node.size[1] - before)]);
  }
  const paid = !here(node) && (await isPaid(named(node, "profile")?.value));
  button.label = paid ? t("new picture (paid)") : t("new picture");
  node.setDirtyCanvas?.(true, true);
}

async function again(node) {
  const counter = here(node) ? null : named(node, "run_again");
  if (counter) {
    counter.value = counter.value >= MOST ? 1 : counter.value + 1;
    counter.callback?.(counter.value, app.canvas, node);
  }
  await app.queuePrompt(0);
}
