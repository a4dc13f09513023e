// The control model of a ControlNet unit: a list over the text field. The models of the module's type come first,
// all others after them, and any other name can be typed. What is stored stays a text in its old place.

import { app } from "../../../scripts/app.js";
import { ImgOpenError, call } from "./http.js";
import { browse, placeOf } from "./model_fields.js";
import { complain } from "./paste.js";
import { report, safe } from "./safe.js";
import { t } from "./words.js";

const NODE = "ImgOpenControlNetApply";
const KEEP = 60000; // milliseconds before a list is fetched again
const PAUSE = 700; // milliseconds between looks at a list that still grows
const LOOKS = 40;
const WAIT = 1500; // milliseconds that a click waits for the list before it opens with what is known
/** Answers of the server by place and module: {at, told} or {at, coming}. */
const lists = new Map();

/** Make the field of a new node a list. */
export function offerModels(node) {
  if (node.comfyClass !== NODE) return;
  const index = node.widgets.findIndex((widget) => widget.name === "model");
  const field = node.widgets[index];
  if (field?.type !== "text") return; // another front-end shows it in a way of its own
  const choice = new Choice(node, field);
  node.widgets.splice(node.widgets.indexOf(choice.widget), 1);
  node.widgets.splice(index, 1, choice.widget);
  const chooser = node.widgets.find((widget) => widget.name === "module");
  const before = chooser.callback;
  chooser.callback = function (...args) {
    const result = before?.apply(this, args);
    // A program that writes the module (a file being opened) gives no canvas; a person's click does.
    if (args.length > 1) safe("model list: module chosen", () => choice.propose())();
    return result;
  };
}

/** The answer to a question; a long list that is still being fetched is waited for. */
async function whole(question) {
  for (let looks = 1; ; looks++) {
    const told = await call("GET", `/img_open/models/control?${question}`);
    if (!told.loading || looks >= LOOKS) return told;
    await new Promise((done) => setTimeout(done, PAUSE));
  }
}

class Choice {
  constructor(node, field) {
    this.node = node;
    this.special = { none: `\u2013 ${t("none")} \u2013`, all: `\u2500\u2500 ${t("all")} \u2500\u2500`,
      other: t("another name\u2026"), browse: t("browse models\u2026") };
    this.widget = node.addWidget("combo", field.name, field.value, (value) => this.chosen(value), { values: [] });
    this.last = field.value;
    this.proposed = null;
    for (const name of ["label", "tooltip"]) if (field[name] !== undefined) this.widget[name] = field[name];
    Object.defineProperty(this.widget.options, "values", {
      get: () => this.values(), set: () => {}, enumerable: true, configurable: true,
    });
    this.widget.incrementValue = (event) => this.step(1, event);
    this.widget.decrementValue = (event) => this.step(-1, event);
    const click = this.widget.onClick;
    this.widget.onClick = (event) => {
      const open = () => click.call(this.widget, event);
      // The list may have to come from a server first.
      if (this.fresh()) open();
      else Promise.race([this.fetch(), new Promise((done) => setTimeout(done, WAIT))]).then(open, open);
    };
  }

  get module() {
    return String(this.node.widgets.find((widget) => widget.name === "module")?.value ?? "none");
  }

  /** Where its models are, and the question about them. */
  question() {
    return String(new URLSearchParams({ ...placeOf(this.node), module: this.module }));
  }

  fresh() {
    const kept = lists.get(this.question());
    return Boolean(kept?.told) && Date.now() - kept.at < KEEP;
  }

  /** The list, fetched at most once a minute. */
  async fetch() {
    const question = this.question();
    const kept = lists.get(question);
    if (this.fresh()) return kept.told;
    if (kept?.coming) return kept.coming;
    const coming = whole(question).catch((error) => {
      if (!(error instanceof ImgOpenError)) report("model list", error); // "browse models" tells the others
      return null;
    });
    lists.set(question, { ...kept, coming });
    const told = await coming;
    lists.set(question, { at: Date.now(), told: told ?? { offered: [], others: [], default: "" } });
    this.node.setDirtyCanvas?.(true, true);
    return told;
  }

  /** The names that can be chosen, the current one among them. */
  names() {
    const told = lists.get(this.question())?.told ?? { offered: [], others: [] };
    const value = this.widget.value;
    const mine = value && !told.offered.includes(value) && !told.others.includes(value) ? [value] : [];
    return { offered: [...mine, ...told.offered], others: told.others };
  }

  values() {
    const { offered, others } = this.names();
    if (!Object.values(this.special).includes(this.widget.value)) this.last = this.widget.value;
    // The newer node view asks for the values alone, and only what is on this machine may be fetched unasked.
    if (window["LiteGraph"]?.vueNodesMode && placeOf(this.node).source === "here" && !this.fresh()) this.fetch();
    const { none, all, other, browse } = this.special;
    const empty = this.widget.value === "" ? [""] : [none];
    return [...empty, ...offered, ...(others.length ? [all, ...others] : []), other, browse];
  }

  step(by, event) {
    const { offered, others } = this.names();
    const names = [...offered, ...others];
    const at = names.indexOf(this.widget.value) + by;
    if (names[at] !== undefined) this.widget.setValue(names[at], event);
  }

  /** Something of the list was chosen. */
  chosen(value) {
    const { none, all, other, browse: open } = this.special;
    if (![none, all, other, open].includes(value)) {
      this.last = value;
      this.proposed = null;
      return;
    }
    this.put(value === none ? "" : this.last);
    if (value === other) this.ask().catch(complain);
    if (value === open) browse(this.node).catch(complain);
  }

  put(value) {
    this.widget.value = this.last = value;
    this.node.setDirtyCanvas?.(true, true);
  }

  async ask() {
    const dialog = /** @type {any} */ (app.extensionManager)?.dialog;
    const message = t("Name of the control model");
    const name = dialog?.prompt
      ? await dialog.prompt({ title: "Img Open", message, defaultValue: this.last })
      : window.prompt(message, this.last);
    if (typeof name === "string") this.put(name.trim());
  }

  /** A module was chosen: an empty field takes the model that goes with it; one that somebody chose stays. */
  async propose() {
    const module = this.module;
    const told = await this.fetch();
    if (!told || module !== this.module) return;
    const value = this.widget.value;
    if (value !== "" && value !== this.proposed) return;
    this.proposed = told.default || null;
    this.put(told.default);
  }
}
