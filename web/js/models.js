// The model browser: a window with the models of ComfyUI's folders or of a profile's server, with covers, search,
// filters and pages. Loaded when it is opened first.

import { el, style } from "./dom.js";
import { address, call } from "./http.js";
import { modelsStyle } from "./models_style.js";
import { Covers, KINDS, kindName, tile, waiting } from "./models_tiles.js";
import { report, safe } from "./safe.js";
import { openSettings } from "./settings.js";
import { tell } from "./tell.js";
import { t } from "./words.js";

const PAGE = 24;
const PAUSE = 250; // milliseconds between the last key and the question
const AGAIN = 800; // milliseconds until a list that is still being fetched is looked at again

/**
 * Open the browser.
 * @param {{source: string, profile: string, kinds: string[], title: string, pick: (row: any) => void}} wanted
 *   kinds: those that the node has a field for; none: all.
 */
export function openModels(wanted) {
  style();
  modelsStyle();
  document.querySelector("dialog.imgopen-models")?.remove();
  return new Browser(wanted);
}

class Browser {
  constructor({ source, profile, kinds, title, pick }) {
    this.pick = pick;
    this.kinds = Object.keys(KINDS).filter((kind) => kinds.includes(kind));
    this.asked = { source, profile, kind: this.kinds[0] ?? "", base: "", search: "", page: 1 };
    this.turn = 0;
    this.rows = [];
    this.pages = 1;
    this.build(title);
    this.covers = new Covers(this.grid);
    document.body.append(this.dialog);
    this.dialog.showModal();
    this.search.focus();
    this.profiles();
    this.refresh();
  }

  build(title) {
    this.places = el("select", { name: "source", title: t("where the models are"), onchange: () => this.move() });
    this.search = el("input", { type: "search", name: "search", placeholder: t("search by name, base model or hash"),
      autocomplete: "off", spellcheck: false, "aria-label": t("search by name, base model or hash"),
      oninput: () => this.later() });
    const again = el("button", { type: "button", name: "again", title: t("fetch the list again"),
      onclick: () => this.refresh({ again: true }) }, "\u21bb");
    const shut = el("button", { type: "button", name: "close", title: t("close"), onclick: () => this.close() }, "\u00d7");
    this.tabs = el("div", { class: "grow", style: "display: flex; gap: 6px; flex-wrap: wrap" });
    this.bases = el("select", { name: "base", "aria-label": t("base model"),
      onchange: () => this.refresh({ base: this.bases.value, page: 1 }) });
    this.grid = el("div", { class: "grid", role: "listbox", "aria-label": t("Models") });
    this.told = el("div", { class: "grow dim", "aria-live": "polite" });
    this.back = el("button", { type: "button", name: "back", onclick: () => this.turnTo(-1) }, `\u2190 ${t("back")}`);
    this.where = el("span", { class: "dim" });
    this.next = el("button", { type: "button", name: "next", onclick: () => this.turnTo(1) }, `${t("next")} \u2192`);
    this.dialog = el("dialog", { class: "imgopen imgopen-models", "aria-label": t("Models") },
      el("header", {}, el("b", {}, [t("Models"), title].filter(Boolean).join(" \u00b7 ")), this.places, this.search, again, shut),
      el("nav", {}, this.tabs, this.bases),
      this.grid,
      el("footer", {}, this.told, this.back, this.where, this.next));
    this.dialog.addEventListener("keydown", safe("models: keys", (event) => this.onKey(event)));
    for (const name of ["keyup", "keypress", "paste", "copy", "cut"]) {
      this.dialog.addEventListener(name, (event) => event.stopPropagation()); // the canvas has keys of its own
    }
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.close());
    this.dialog.addEventListener("close", () => this.gone());
    this.drawPlaces([this.asked.profile]);
  }

  // --- what is asked ----------------------------------------------------------------------------------------

  async profiles() {
    try {
      const { profiles } = await call("GET", "/img_open/profiles");
      this.drawPlaces(profiles.map((one) => one.name).filter(Boolean));
    } catch (error) {
      report("models: profiles", error);
    }
  }

  drawPlaces(names) {
    const { source, profile } = this.asked;
    const all = [...new Set([...names, ...(source === "remote" ? [profile] : [])])].filter(Boolean);
    this.places.replaceChildren(
      el("option", { value: "here", selected: source === "here" }, t("this machine")),
      ...all.map((name) => el("option", { value: `remote/${name}`, selected: source === "remote" && name === profile }, name)),
    );
  }

  move() {
    const [source, profile = ""] = this.places.value.split(/\/(.*)/s);
    this.refresh({ source, profile: profile || this.asked.profile, base: "", page: 1 });
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.refresh({ search: this.search.value, page: 1 }), PAUSE);
  }

  turnTo(step) {
    const page = this.asked.page + step;
    if (page < 1 || page > this.pages) return Promise.resolve();
    return this.refresh({ page });
  }

  /**
   * Ask for a page and show it; an answer that a later question has overtaken is dropped.
   * @param {Record<string, any>} [wanted] `again`: fetch the list anew; `quiet`: no sign of waiting; the rest
   *   changes what is asked.
   */
  async refresh({ again = false, quiet = false, ...changes } = {}) {
    clearTimeout(this.timer);
    Object.assign(this.asked, changes);
    const turn = ++this.turn;
    const { kind, ...rest } = this.asked;
    const query = new URLSearchParams({ ...rest, page: String(rest.page), size: String(PAGE) });
    query.set("kinds", kind || this.kinds.join(","));
    if (again) query.set("again", "1");
    if (!quiet) this.busy();
    try {
      const told = await call("GET", `/img_open/models/list?${query}`);
      if (turn === this.turn) this.show(told);
    } catch (error) {
      if (turn === this.turn) this.fail(error);
    }
  }

  // --- what is shown ----------------------------------------------------------------------------------------

  busy() {
    this.grid.setAttribute("aria-busy", "true");
    if (!this.rows.length) this.grid.replaceChildren(...waiting(12));
    this.told.className = "grow dim";
    this.told.textContent = t("Fetching the list\u2026");
  }

  show(told) {
    const { source, profile } = this.asked;
    const focused = this.tiles().indexOf(/** @type {any} */ (document.activeElement));
    this.rows = told.rows;
    this.pages = told.pages;
    this.asked.page = told.page;
    this.grid.setAttribute("aria-busy", String(told.loading));
    this.covers.clear();
    const tiles = told.rows.map((row) => {
      const made = tile(row, () => this.take(row));
      const query = new URLSearchParams({ source, profile, key: row.key });
      if (row.cover) made.dataset.cover = address(`/img_open/models/cover?${query}`);
      return made;
    });
    if (!tiles.length && told.loading) tiles.push(...waiting(12));
    this.grid.replaceChildren(...(tiles.length ? tiles : [this.nothing(told)]));
    for (const made of tiles) if (made.dataset.cover) this.covers.want(made, made.dataset.cover);
    if (focused >= 0) (this.tiles()[Math.min(focused, tiles.length - 1)] ?? this.search).focus();
    this.drawFilters(told);
    this.drawFoot(told);
    if (told.loading) this.timer = setTimeout(() => this.refresh({ quiet: true }), AGAIN);
  }

  drawFilters({ kinds, bases }) {
    const offered = this.kinds.length ? this.kinds : [...new Set([...Object.keys(KINDS), ...Object.keys(kinds)])];
    const sum = offered.reduce((total, kind) => total + (kinds[kind] ?? 0), 0);
    const tabs = offered.length > 1 ? ["", ...offered] : [];
    this.tabs.replaceChildren(...tabs.map((kind) => el("button", { type: "button", "data-kind": kind,
      "aria-pressed": String(kind === this.asked.kind), onclick: () => this.refresh({ kind, base: "", page: 1 }) },
    `${kind ? kindName(kind) : t("all types")} ${kind ? (kinds[kind] ?? 0) : sum}`)));
    const known = this.asked.base && !bases.includes(this.asked.base) ? [this.asked.base, ...bases] : bases;
    this.bases.replaceChildren(el("option", { value: "" }, t("all base models")),
      ...known.map((base) => el("option", { value: base, selected: base === this.asked.base }, base)));
    this.bases.hidden = !known.length;
  }

  drawFoot({ found, page, pages, loading, missing, problem }) {
    this.told.className = problem ? "grow bad" : "grow dim";
    const count = t("models: {count}", { count: found });
    const more = missing ? t("The list is longer by {missing}; a search asks the server too.", { missing }) : "";
    const how = t("A click takes a model. Arrows, Enter, Esc.");
    this.told.textContent = loading ? `${count}, ${t("more are on their way\u2026")}`
      : problem ? `${count}. ${tell(problem)}` : [count, more || how].join(" \u00b7 ");
    this.where.textContent = t("page {page} of {pages}", { page, pages });
    this.back.disabled = page <= 1;
    this.next.disabled = page >= pages;
    for (const one of [this.back, this.where, this.next]) one.hidden = pages <= 1;
  }

  /** What to do when there is nothing. */
  nothing({ problem }) {
    const { source, profile, search, base, kind } = this.asked;
    if (search || base) {
      const what = t("Nothing matches: {search}", { search: [search, base].filter(Boolean).join(" \u00b7 ") });
      return this.tell(what, [[t("clear the search"), () => this.clear()]]);
    }
    if (source === "here") return this.tell(t("There is no such model in ComfyUI's folders. Put its file below models/, then fetch the list again."), this.actions());
    const what = kind && kind !== "checkpoint"
      ? t("{profile} lists no models of the type {kind}. The published API has no list of them: type the name into the field, or name the list's address in a local catalogue (docs/api.md).", { profile, kind: kindName(kind) })
      : t("{profile} lists no models.", { profile });
    return this.tell([what, problem && tell(problem)].filter(Boolean).join(" "), this.actions());
  }

  fail(error) {
    this.rows = [];
    this.covers.clear();
    this.grid.setAttribute("aria-busy", "false");
    this.told.className = "grow bad";
    this.told.textContent = t("The list could not be fetched.");
    for (const one of [this.back, this.where, this.next]) one.hidden = true;
    const more = ["bad_profile", "unauthorized"].includes(error.code)
      ? [[t("open profiles"), () => { this.close(); openSettings(); }]] : [];
    this.grid.replaceChildren(this.tell(error.message, [...this.actions(), ...more], "bad"));
  }

  actions() {
    return [[t("fetch the list again"), () => this.refresh({ again: true })]];
  }

  tell(text, actions, look = "dim") {
    const buttons = actions.map(([name, work]) => el("button", { type: "button", onclick: work }, name));
    return el("div", { class: "tell" }, el("p", { class: look }, text), el("div", {}, ...buttons));
  }

  clear() {
    this.search.value = "";
    this.search.focus();
    this.refresh({ search: "", base: "", page: 1 });
  }

  // --- what people do ---------------------------------------------------------------------------------------

  /** @returns {HTMLElement[]} */
  tiles() {
    return /** @type {any} */ ([...this.grid.querySelectorAll("button.tile")]);
  }

  onKey(event) {
    event.stopPropagation();
    const tiles = this.tiles();
    const at = tiles.indexOf(/** @type {any} */ (document.activeElement));
    const inSearch = document.activeElement === this.search;
    if (at < 0 && !inSearch) return;
    const columns = Math.max(1, tiles.filter((one) => one.offsetTop === tiles[0].offsetTop).length);
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -at, End: tiles.length - 1 - at };
    if (event.key === "PageDown" || event.key === "PageUp") {
      this.turnTo(event.key === "PageDown" ? 1 : -1).then(() => at >= 0 && this.tiles()[0]?.focus());
    } else if (inSearch && event.key === "ArrowDown") {
      tiles[0]?.focus();
    } else if (inSearch && event.key === "Enter") {
      this.refresh({ search: this.search.value, page: 1 }).then(() => this.tiles()[0]?.focus());
    } else if (at >= 0 && event.key === "ArrowUp" && at < columns) {
      this.search.focus();
    } else if (at >= 0 && event.key in steps) {
      tiles[Math.min(tiles.length - 1, Math.max(0, at + steps[event.key]))].focus();
    } else return;
    event.preventDefault();
  }

  take(row) {
    this.close();
    safe("models: chosen", this.pick)(row);
  }

  close() {
    this.dialog.close();
  }

  gone() {
    this.turn += 1;
    clearTimeout(this.timer);
    this.covers.clear();
    this.dialog.remove();
  }
}
