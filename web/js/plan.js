// Builds what the server planned: nodes in columns, widget values by name, wires by slot names, a note.

import { app } from "../../../scripts/app.js";
import { report } from "./safe.js";
import { tell } from "./tell.js";
import { t } from "./words.js";

const GAP_X = 60;
const GAP_Y = 50;
const TITLE = 30;
const READABLE = 0.62; // below that the host leaves out the words
const MARGIN = 80; // pixels of the screen, for the host's own bars

/**
 * @param {{nodes: any[], links: string[][], notices: string[]}} plan
 * @param {[number, number]} [at] upper left corner in graph coordinates; default: free room at the view
 * @returns {any[]} the nodes
 */
export function build(plan, at) {
  const graph = app.canvas?.graph ?? app.graph;
  graph.beforeChange?.();
  const made = new Map();
  try {
    for (const entry of plan.nodes) {
      const node = make(graph, entry);
      if (node) made.set(entry.key, { node, column: entry.column });
    }
    for (const [from, output, to, input] of plan.links) wire(made, from, output, to, input);
    if (plan.notices.length) {
      const note = makeNote(graph, plan.notices);
      if (note) made.set("note", { node: note, column: Math.max(0, ...plan.nodes.map((one) => one.column)) });
    }
    layOut([...made.values()], at ?? freeRoom(graph));
  } finally {
    graph.afterChange?.();
  }
  const nodes = [...made.values()].map((one) => one.node);
  app.canvas.selectNodes?.(nodes);
  graph.setDirtyCanvas?.(true, true);
  return nodes;
}

function make(graph, entry) {
  const LiteGraph = window["LiteGraph"];
  const node = LiteGraph.createNode(entry.type);
  if (!node) {
    report(`plan: no node ${entry.type}`, entry.type);
    return null;
  }
  graph.add(node);
  for (const [name, value] of Object.entries(entry.widgets)) setWidget(node, name, value);
  if (entry.notes?.length) node.properties.img_open = { notes: entry.notes };
  node.onConfigure?.({}); // the sliders follow the module now, without taking its defaults
  return node;
}

/** Set a widget by name; a combo learns a value that it does not list yet. */
export function setWidget(node, name, value) {
  const widget = node.widgets?.find((one) => one.name === name);
  if (!widget) return;
  const values = widget.options?.values;
  if (Array.isArray(values) && !values.includes(value)) values.push(value);
  widget.value = value;
  if (name === "image") widget.callback?.(value); // Load Image shows its picture
}

function wire(made, from, output, to, input) {
  const source = made.get(from)?.node;
  const target = made.get(to)?.node;
  if (!source || !target) return;
  const slot = source.outputs.findIndex((one) => one.name === output);
  const entry = target.inputs.findIndex((one) => one.name === input);
  if (slot < 0 || entry < 0) report(`plan: no slot ${output} or ${input}`, [from, to]);
  else source.connect(slot, target, entry);
}

function makeNote(graph, notices) {
  const LiteGraph = window["LiteGraph"];
  const note = LiteGraph.createNode("MarkdownNote") ?? LiteGraph.createNode("Note");
  if (!note) return null;
  graph.add(note);
  note.title = t("Img Open request");
  const lines = notices.map((text) => `- ${tell(text).replace(/([*_`<])/g, "\\$1")}`);
  if (note.widgets?.[0]) note.widgets[0].value = [`**${t("What could not be taken over")}**`, "", ...lines].join("\n");
  note.size = [420, Math.min(420, 110 + 44 * notices.length)];
  return note;
}

function layOut(entries, [left, top]) {
  const columns = new Map();
  for (const { node, column } of entries) {
    if (!columns.has(column)) columns.set(column, []);
    columns.get(column).push(node);
  }
  let x = left;
  for (const number of [...columns.keys()].sort((one, other) => one - other)) {
    let y = top + TITLE;
    let width = 0;
    for (const node of columns.get(number)) {
      const size = node.computeSize?.() ?? node.size;
      const least = node.type === "PreviewImage" ? 420 : 0; // its picture comes later
      node.setSize?.([Math.max(node.size[0], size[0], 400), Math.max(node.size[1], size[1], least)]);
      node.pos = [x, y];
      y += node.size[1] + GAP_Y + TITLE;
      width = Math.max(width, node.size[0]);
    }
    x += width + GAP_X;
  }
}

/**
 * Right of everything that is there, or the view's corner on an empty canvas.
 * @returns {[number, number]}
 */
function freeRoom(graph) {
  const nodes = graph._nodes ?? graph.nodes ?? [];
  const placed = nodes.filter((node) => node.pos[0] !== 0 || node.pos[1] !== 0);
  if (!placed.length) {
    const area = app.canvas?.visible_area ?? [0, 0];
    return [area[0] + 60, area[1] + 80];
  }
  const right = Math.max(...placed.map((node) => node.pos[0] + node.size[0]));
  const top = Math.min(...placed.map((node) => node.pos[1]));
  return [right + 120, top - TITLE];
}

/** Bring nodes into view. */
export function show(nodes) {
  const canvas = app.canvas;
  if (!nodes.length || !canvas?.ds) return;
  const left = Math.min(...nodes.map((node) => node.pos[0]));
  const top = Math.min(...nodes.map((node) => node.pos[1])) - TITLE;
  const right = Math.max(...nodes.map((node) => node.pos[0] + node.size[0]));
  const bottom = Math.max(...nodes.map((node) => node.pos[1] + node.size[1]));
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.canvas.width / ratio;
  const height = canvas.canvas.height / ratio;
  const fitting = Math.min(1, (width - 160) / (right - left), (height - 160) / (bottom - top));
  const scale = (canvas.ds.scale = Math.max(fitting, READABLE));
  // In the middle; what is too large for that begins at the upper left corner.
  canvas.ds.offset[0] = -left + Math.max((width / scale - (right - left)) / 2, MARGIN / scale);
  canvas.ds.offset[1] = -top + Math.max((height / scale - (bottom - top)) / 2, MARGIN / scale);
  canvas.setDirty?.(true, true);
}
