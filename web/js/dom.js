// Elements in one line each. Texts are always set as text, never as HTML: prompts come from anywhere.

/** An element with properties, `class` and `on...` handlers, and children (elements or texts). */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const STYLE = `
.imgopen { color: var(--input-text, #ddd); font: 13px/1.4 sans-serif; box-sizing: border-box; }
.imgopen *, .imgopen { box-sizing: border-box; }
.imgopen button { background: var(--comfy-input-bg, #333); color: inherit; border: 1px solid
  var(--border-color, #555); border-radius: 4px; padding: 2px 8px; cursor: pointer; font: inherit; }
.imgopen button:hover:enabled { border-color: var(--p-primary-color, #69f); }
.imgopen button:disabled { opacity: .45; cursor: default; }
.imgopen input, .imgopen select { background: var(--comfy-input-bg, #222); color: inherit; border: 1px solid
  var(--border-color, #555); border-radius: 4px; padding: 3px 6px; font: inherit; max-width: 100%; }
.imgopen .dim { color: var(--descrip-text, #999); }
.imgopen .bad { color: var(--error-text, #ff6b6b); }
.imgopen .good { color: #6fcf7f; }
.imgopen-tasks { display: flex; flex-direction: column; height: 100%; min-height: 0; }
.imgopen-head { display: flex; flex-wrap: wrap; gap: 6px; align-items: center; padding: 8px; }
.imgopen-head b { flex: 1 1 100%; font-size: 15px; }
.imgopen-list { position: relative; overflow-y: auto; flex: 1; min-height: 0; }
.imgopen-row { position: absolute; left: 0; right: 0; height: 92px; padding: 6px 8px; display: flex; gap: 8px;
  border-top: 1px solid var(--border-color, #444); overflow: hidden; }
.imgopen-thumb { flex: 0 0 68px; width: 68px; height: 76px; object-fit: contain; background: #0003; border-radius: 4px; }
.imgopen-row .body { flex: 1; min-width: 0; display: flex; flex-direction: column; gap: 2px; }
.imgopen-row .line { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.imgopen-row .acts { display: flex; gap: 4px; overflow: hidden; margin-top: auto; }
.imgopen-row .acts button { font-size: 11px; padding: 0 6px; white-space: nowrap; }
.imgopen-list { container-type: inline-size; }
@container (max-width: 260px) {
  .imgopen-row { padding: 6px 4px; gap: 6px; }
  .imgopen-thumb { flex-basis: 34px; width: 34px; height: 44px; }
  .imgopen-row .acts { gap: 3px; }
  .imgopen-row .acts button { padding: 0 3px; font-size: 10px; }
}
.imgopen-bar { height: 4px; background: #0005; border-radius: 2px; overflow: hidden; }
.imgopen-bar[hidden] { display: none; }
.imgopen-bar > i { display: block; height: 100%; background: var(--p-primary-color, #5aa9ff); }
.imgopen-profiles { width: clamp(300px, 35vw, 760px); max-width: 100%; display: flex; flex-direction: column; gap: 8px; }
.imgopen-profiles .entry { display: flex; gap: 6px; align-items: center; flex-wrap: wrap;
  border-top: 1px solid var(--border-color, #444); padding-top: 6px; }
.imgopen-profiles .entry .who { flex: 1 1 180px; min-width: 0; overflow-wrap: anywhere; }
.imgopen-profiles form { display: flex; flex-direction: column; gap: 8px; }
.imgopen-rows { display: grid; grid-template-columns: minmax(110px, 38%) 1fr; gap: 6px 10px; align-items: center; }
.imgopen-rows[hidden] { display: none; }
.imgopen-rows input[type=checkbox] { justify-self: start; }
.imgopen-rows input:not([type=checkbox]), .imgopen-rows select { width: 100%; min-width: 0; }
.imgopen-profiles summary { cursor: pointer; padding: 2px 0; }
.imgopen-profiles details .imgopen-rows { padding-top: 6px; }
.imgopen-buttons { display: flex; gap: 6px; }
`;

/** Put the pack's style into the page, once. */
export function style() {
  if (document.getElementById("imgopen-style")) return;
  document.head.append(el("style", { id: "imgopen-style", textContent: STYLE }));
}
