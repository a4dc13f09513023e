// A module's sliders on the nodes that have them: label, range, step, default, tooltip, and none where the module
// has none. Values and widget order are never touched by loading; without this file a workflow is the same.
//
// -1 in a workflow means "not set". Such a slider shows the module's own default, and -1 is still what is stored and
// sent as long as nobody moves it.

import { call } from "./http.js";
import { afterMethod, report, safe } from "./safe.js";
import { t } from "./words.js";

export const NAMES = ["processor_res", "threshold_a", "threshold_b"];
const NUMBER_OPTIONS = ["min", "max", "step", "step2", "precision", "round"];

/** Modules by name, label and older names; filled by `load`. */
const modules = new Map();
// Marks are properties of the widgets: the newer front-ends hand out the same widget as different objects (proxies).
/** What the host gave a widget: {label, tooltip, options}. */
const GIVEN = "imgOpenGiven";
/** The default that a slider shows which is not set; else undefined. */
const SHOWS = "imgOpenShows";
const UNSET = -1;

/** Fetch the table once. */
export async function load() {
  for (const entry of await call("GET", "/img_open/modules")) {
    for (const name of [entry.name, entry.label, ...entry.aliases]) modules.set(name, entry);
  }
}

/** The module's entry, or undefined. */
export function find(name) {
  return modules.get(name);
}

/** Whether a node has a module with sliders. */
export function concerned(node) {
  const names = new Set((node.widgets ?? []).map((widget) => widget.name));
  return names.has("module") && NAMES.some((name) => names.has(name));
}

/** Make a new node follow its module. */
export function follow(node) {
  const chooser = node.widgets.find((widget) => widget.name === "module");
  const before = chooser.callback;
  chooser.callback = function (...args) {
    const result = before?.apply(this, args);
    safe("sliders: module chosen", () => apply(node, true))();
    return result;
  };
  const configure = node.onConfigure;
  node.onConfigure = function (...args) {
    const result = configure?.apply(this, args);
    safe("sliders: node loaded", () => {
      keepGiven(node, args[0]);
      apply(node, false);
    })();
    return result;
  };
  afterMethod(node, "onSerialize", "sliders: node saved", ([data]) => keepUnset(node, data));
  for (const widget of node.widgets) {
    if (!NAMES.includes(widget.name)) continue;
    widget.serializeValue = () => stored(widget);
    const moved = widget.callback;
    widget.callback = function (value, ...rest) {
      if (value !== UNSET) {
        widget[SHOWS] = undefined; // what is set is stored, be it the default
        return moved?.call(this, value, ...rest);
      }
      widget.value = UNSET; // a program says "not set"; the host would force it into the slider's range
      return safe("sliders: not set", () => apply(node, false))();
    };
  }
  apply(node, false);
}

/** What a workflow or a request holds for a widget: -1 for a slider that is not set. */
export function stored(widget) {
  return widget[SHOWS] !== undefined && widget[SHOWS] === widget.value ? UNSET : widget.value;
}

/** A file that holds the default itself does set the slider. */
function keepGiven(node, data) {
  node.widgets.forEach((widget, index) => {
    const value = data?.widgets_values_named?.[widget.name] ?? data?.widgets_values?.[index];
    if (value !== undefined && value !== UNSET) widget[SHOWS] = undefined;
  });
}

/** Write -1 for sliders that are not set: the host saves what the widgets show. */
function keepUnset(node, data) {
  node.widgets.forEach((widget, index) => {
    if (stored(widget) === widget.value) return;
    // No button of the pack stands before a slider, so that the place among all widgets is that among the saved ones.
    if (data.widgets_values?.[index] === widget.value) data.widgets_values[index] = UNSET;
    const named = data.widgets_values_named; // from front-end 1.5x on, beside the list
    if (named && widget.name in named) named[widget.name] = UNSET;
  });
}

/**
 * Show the sliders of the node's module.
 * @param {boolean} chosen true: the user has just chosen the module, so the sliders take its defaults.
 */
export function apply(node, chosen) {
  const chooser = node.widgets?.find((widget) => widget.name === "module");
  const module = chooser && find(chooser.value);
  for (const widget of node.widgets ?? []) {
    if (!NAMES.includes(widget.name)) continue;
    try {
      restore(widget);
      if (module) describe(widget, module, module.sliders[widget.name], chosen);
    } catch (error) {
      report(`sliders: ${widget.name}`, error);
    }
  }
  if (chosen && node.computeSize && node.setSize) {
    node.setSize([node.size[0], node.computeSize()[1]]);
  }
  node.setDirtyCanvas?.(true, true);
}

function restore(widget) {
  widget.value = stored(widget);
  widget[SHOWS] = undefined;
  const kept = widget[GIVEN];
  if (!kept) {
    const options = {};
    for (const name of NUMBER_OPTIONS) options[name] = widget.options?.[name];
    widget[GIVEN] = { label: widget.label, tooltip: widget.tooltip, options };
    return;
  }
  widget.label = kept.label;
  widget.tooltip = kept.tooltip;
  setOptions(widget, kept.options);
  hide(widget, false);
}

function describe(widget, module, slider, chosen) {
  if (!slider?.visible) {
    hide(widget, true);
    if (chosen && widget.name !== "processor_res") widget.value = UNSET;
    return;
  }
  const label = t(slider.label);
  widget.label = label;
  const facts = { label, module: module.label, low: slider.minimum, high: slider.maximum };
  widget.tooltip = [
    t("{label} of {module}: {low} to {high}, step {step}, default {value}.", {
      ...facts,
      step: slider.step,
      value: slider.default,
    }),
    t("-1 is the default."),
  ].join(" ");
  const whole = Number.isInteger(slider.step) && Number.isInteger(slider.minimum);
  setOptions(widget, {
    min: slider.minimum,
    max: slider.maximum,
    step: slider.step * 10, // the canvas counts in tenths
    step2: slider.step,
    precision: whole ? 0 : Math.max(1, decimals(slider.step)),
    round: whole && widget.name !== "processor_res" ? 1 : slider.step,
  });
  if (chosen) widget.value = slider.default;
  if (widget.value !== UNSET) return;
  widget.value = slider.default;
  widget[SHOWS] = slider.default;
  widget.tooltip += ` ${t("Not set: shown is the default {value}, stored is -1.", { value: slider.default })}`;
}

function decimals(step) {
  return (String(step).split(".")[1] ?? "").length;
}

function setOptions(widget, values) {
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined) delete widget.options[name];
    else widget.options[name] = value;
  }
}

const NO_ROOM = () => [0, -4]; // front-end 1.27 leaves a row for hidden widgets; 4 is what it puts between rows

/** Hide a widget, or show it again; it keeps its value and its place in the file. */
export function hide(widget, hidden) {
  widget.hidden = hidden;
  if (widget.options) widget.options.hidden = hidden; // what the newer front-ends' own node view reads
  if (hidden) widget.computeSize = NO_ROOM;
  else if (widget.computeSize === NO_ROOM) delete widget.computeSize;
}
