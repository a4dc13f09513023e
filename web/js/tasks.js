// The sidebar "Img Open tasks": the journal of the server's machine, live, newest change first.

import { app } from "../../../scripts/app.js";
import { copy } from "./copy.js";
import { el, style } from "./dom.js";
import { Watched, address, call } from "./http.js";
import { complain } from "./paste.js";
import { build, show } from "./plan.js";
import { confirmed } from "./profiles.js";
import { report, safe } from "./safe.js";
import { VirtualList } from "./tasks_list.js";
import { tell } from "./tell.js";
import { language, t } from "./words.js";

export const TAB = "img-open-tasks";
const ROW = 92;
const EVERY = 1500; // milliseconds
const OPEN = ["prepared", "submitted", "running", "uncertain"];
const STATES = [...OPEN, "done", "failed", "cancelled", "lost"];
const BAD = ["failed", "uncertain", "lost"];
const NO_PICTURE = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="; // one clear pixel

/** Register the tab. */
export function registerTasks() {
  let panel = null;
  app.extensionManager?.registerSidebarTab?.({
    id: TAB,
    icon: "pi pi-cloud",
    title: t("Img Open tasks"),
    tooltip: t("Img Open tasks"),
    type: "custom",
    render: safe("tasks panel", (element) => {
      panel?.close();
      panel = new TasksPanel(element);
    }),
    destroy: safe("tasks panel", () => {
      panel?.close();
      panel = null;
    }),
  });
}

class TasksPanel {
  constructor(parent) {
    style();
    this.journal = new Watched("/img_open/tasks");
    this.tasks = [];
    this.progress = {};
    this.state = el("select", { name: "state", onchange: () => this.draw() },
      el("option", { value: "" }, t("all states")),
      ...STATES.map((state) => el("option", { value: state }, t(state))));
    this.count = el("span", { class: "dim" });
    const purge = el("button", { type: "button", onclick: () => this.purge() }, t("purge finished"));
    this.empty = el("div", { class: "dim", style: "padding: 12px" });
    this.scroller = el("div", { class: "imgopen-list" });
    this.root = el("div", { class: "imgopen imgopen-tasks" },
      el("div", { class: "imgopen-head" }, el("b", {}, t("Img Open tasks")), this.state, purge, this.count),
      this.empty, this.scroller);
    parent.replaceChildren(this.root);
    this.fit = () => fit(this.root);
    window.addEventListener("resize", this.fit);
    this.fit();
    this.list = new VirtualList(this.scroller, ROW, (task, old) => this.row(task, old));
    this.timer = setInterval(() => this.refresh(), EVERY);
    this.refresh();
  }

  close() {
    clearInterval(this.timer);
    window.removeEventListener("resize", this.fit);
    this.list.close();
    this.root.remove();
  }

  async refresh() {
    if (this.busy || document.hidden || !this.root.isConnected) return;
    this.busy = true;
    try {
      this.fit(); // the host may have moved the panel
      const told = await this.journal.get();
      if (told) this.tasks = told.tasks;
      const running = this.tasks.some((task) => task.state === "running" || task.state === "submitted");
      const before = this.progress;
      this.progress = running || Object.keys(before).length ? await call("GET", "/img_open/progress") : {};
      if (told || running || Object.keys(before).length) this.draw();
    } catch (error) {
      report("tasks: refresh", error);
      this.empty.hidden = false;
      this.empty.textContent = error.message;
    } finally {
      this.busy = false;
    }
  }

  draw() {
    const wanted = this.state.value;
    const shown = wanted ? this.tasks.filter((task) => task.state === wanted) : this.tasks;
    this.count.textContent = t("tasks: {count}", { count: shown.length });
    this.empty.hidden = this.tasks.length > 0;
    this.empty.textContent = this.tasks.length ? "" : t("No tasks yet. Remote Submit files every request here.");
    this.list.set(shown);
  }

  /** A row. While only its progress changes it is kept, so that nobody's click misses its button. */
  row(task, old) {
    const key = JSON.stringify(task);
    const live = this.progress[task.id];
    if (old?.dataset.key === key) {
      showProgress(old, task, live);
      return old;
    }
    const row = el("div", { class: "imgopen-row", "data-task": task.task_id, "data-state": task.state },
      this.picture(task, old),
      el("div", { class: "body" },
        el("div", { class: "line", title: task.prompt }, task.prompt || task.operation || task.task_id),
        el("div", { class: "line imgopen-state" }),
        el("div", { class: "line dim", title: task.task_id }, facts(task)),
        el("div", { class: "imgopen-bar", hidden: true }, el("i")),
        el("div", { class: "acts" }, ...this.actions(task))));
    row.dataset.key = key;
    showProgress(row, task, live);
    return row;
  }

  picture(task, old) {
    const before = old?.querySelector("img.imgopen-done");
    if (!task.made) return el("img", { class: "imgopen-thumb", alt: "", src: NO_PICTURE });
    const src = address(`/img_open/tasks/${task.id}/thumbnail`);
    return before ?? el("img", { class: "imgopen-thumb imgopen-done", src, alt: "", loading: "lazy" });
  }

  actions(task) {
    const found = [];
    const add = (text, work, title = text, sign = "") =>
      found.push(el("button", { type: "button", title: t(title), name: text,
        onclick: () => work().catch(complain) }, sign || t(text)));
    const act = (action) => async () => {
      const path = `/img_open/tasks/${task.id}/action`;
      const answer = await call("POST", path, { action });
      this.journal.tag = "";
      await this.refresh();
      return answer;
    };
    const open = OPEN.includes(task.state) && !unsent(task);
    if (open && task.state !== "uncertain") add("cancel", act("cancel"));
    if (!task.held && ["submitted", "running", "uncertain"].includes(task.state)) add("re-attach", act("attach"));
    if (task.state === "uncertain") {
      add("retry", async () => {
        await act("retry")();
        complain(new Error(t("Its next run submits it again under the same id.")));
      });
      add("drop", act("drop"));
    }
    if (task.made) add("open", () => this.open(task));
    add("copy", () => copyTask(task), "copy the request as Img Open JSON");
    if (!open) add("remove", act("purge"), "remove", "\u00d7");
    return found;
  }

  async open(task) {
    show(build(await call("POST", `/img_open/tasks/${task.id}/open`)));
  }

  async purge() {
    try {
      if (!(await confirmed(t("Remove all finished tasks and their pictures from this machine?")))) return;
      const { removed } = await call("POST", "/img_open/tasks/purge", { days: 0 });
      this.count.textContent = t("tasks removed: {count}", { count: removed });
      this.journal.tag = "";
      await this.refresh();
    } catch (error) {
      complain(error);
    }
  }
}

/** Prepared, and in nobody's hands any more: it was never sent, and its message says why. */
function unsent(task) {
  return task.state === "prepared" && !task.held;
}

function facts(task) {
  const when = new Date(task.changed * 1000).toLocaleString(language() === "zh" ? "zh-CN" : undefined,
    { month: "numeric", day: "numeric", hour: "2-digit", minute: "2-digit" });
  return `${task.profile} \u00b7 ${when} \u00b7 ${task.task_id}`;
}

/** State, stage, percentage, elapsed time, the server's words, and the intermediate picture. */
function showProgress(row, task, live) {
  const open = OPEN.includes(task.state);
  const percent = open && typeof live?.fraction === "number" ? `${Math.round(live.fraction * 100)} %` : "";
  const state = unsent(task) ? "not sent" : task.state;
  const stage = t((state === "running" && live?.stage) || state); // the server's word says more
  const elapsed = open && !unsent(task) && live?.elapsed ? duration(live.elapsed) : "";
  const told = live?.error || task.message || (open && !percent ? live?.desc : "") || "";
  const line = row.querySelector(".imgopen-state");
  const message = tell(told);
  line.className = `line imgopen-state${BAD.includes(task.state) || unsent(task) || live?.error ? " bad" : ""}`;
  line.title = message;
  const status = [stage, percent, elapsed].filter(Boolean).join(" \u00b7 ");
  line.textContent = [status, message].filter(Boolean).join(language() === "zh" ? "\uff1a" : ": ");
  const bar = row.querySelector(".imgopen-bar");
  bar.hidden = !percent;
  bar.firstChild.style.width = percent.replace(" ", "");
  const picture = row.querySelector("img.imgopen-thumb:not(.imgopen-done)");
  const source = (open && live?.picture) || NO_PICTURE;
  if (picture && picture.src !== source) picture.src = source;
}

/** "42 s", "3 min 5 s", "2 h 10 min". */
function duration(seconds) {
  const whole = Math.floor(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  if (hours) return t("{hours} h {minutes} min", { hours, minutes });
  return minutes ? t("{minutes} min {count} s", { minutes, count: whole % 60 }) : t("{count} s", { count: whole });
}

/** As high as the window leaves room. The host's own box grows with what is in it, and a list that never
 * scrolls would have all its rows in the page. */
function fit(root) {
  root.style.height = `${Math.max(200, window.innerHeight - root.getBoundingClientRect().top - 8)}px`;
}

async function copyTask(task) {
  const { text } = await call("POST", "/img_open/export", { format: "img-open", task: task.id });
  await copy(text);
}

/** Show the tab. */
export function openTasks() {
  const sidebar = /** @type {any} */ (app.extensionManager)?.sidebarTab;
  if (sidebar?.activeSidebarTabId !== TAB) sidebar?.toggleSidebarTab?.(TAB);
}
