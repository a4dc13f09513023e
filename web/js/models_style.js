// The look of the model browser, in the host's colours.

import { el } from "./dom.js";

const STYLE = `
.imgopen-models { width: min(1180px, 94vw); height: min(820px, 90vh); padding: 0; border-radius: 10px;
  border: 1px solid var(--border-color, #555); background: var(--comfy-menu-bg, #222); overflow: hidden; box-shadow: 0 12px 40px #0006; }
.imgopen-models[open] { display: flex; flex-direction: column; }
.imgopen-models::backdrop { background: #0008; }
.imgopen-models header, .imgopen-models nav, .imgopen-models footer { display: flex; gap: 8px; align-items: center;
  padding: 10px 14px; flex-wrap: wrap; }
.imgopen-models nav { padding-top: 0; }
.imgopen-models footer { border-top: 1px solid var(--border-color, #444); min-height: 44px; }
.imgopen-models header b { font-size: 16px; margin-right: 4px; }
.imgopen-models input[type=search] { flex: 1 1 220px; padding: 6px 10px; }
.imgopen-models .grow { flex: 1; min-width: 0; overflow-wrap: anywhere; }
.imgopen-models button { padding: 4px 10px; }
.imgopen-models :is(button, input, select):focus-visible { outline: 2px solid var(--p-primary-color, #5aa9ff);
  outline-offset: 1px; }
.imgopen-models nav button[aria-pressed=true] { background: var(--p-primary-color, #3a7bd5); color: #fff;
  border-color: transparent; }
.imgopen-models .grid { flex: 1; min-height: 0; overflow-y: auto; padding: 4px 14px 14px; display: grid; gap: 12px;
  grid-template-columns: repeat(auto-fill, minmax(168px, 1fr)); grid-auto-rows: max-content; align-content: start; }
.imgopen-models .tile { display: flex; flex-direction: column; gap: 3px; padding: 0 0 8px; text-align: left;
  overflow: hidden; border-radius: 8px; min-width: 0;
  background: color-mix(in srgb, var(--comfy-input-bg, #333) 45%, transparent); }
.imgopen-models .tile > div { flex: none; padding: 0 8px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
  width: 100%; font-size: 12px; }
.imgopen-models .tile > .name { font-size: 13px; font-weight: 600; }
.imgopen-models .tile > .cover { position: relative; aspect-ratio: 4 / 3; padding: 0; display: grid;
  place-items: center; color: #fff; font: 600 34px/1 sans-serif; letter-spacing: 1px; margin-bottom: 4px; }
.imgopen-models .tile img { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: cover; opacity: 0;
  transition: opacity .15s; }
.imgopen-models .tile img.here { opacity: 1; }
.imgopen-models .tile.wait { min-height: 204px; background: var(--comfy-input-bg, #333); border-radius: 8px;
  animation: imgopen-wait 1.1s ease-in-out infinite alternate; }
.imgopen-models .tell { grid-column: 1 / -1; padding: 48px 12px; display: flex; flex-direction: column; gap: 12px;
  align-items: center; text-align: center; }
.imgopen-models .tell p { margin: 0; max-width: 620px; overflow-wrap: anywhere; }
@keyframes imgopen-wait { from { opacity: .35; } to { opacity: .75; } }
@media (prefers-reduced-motion: reduce) { .imgopen-models * { animation: none !important; transition: none !important; } }
`;

/** Put the browser's style into the page, once. */
export function modelsStyle() {
  if (document.getElementById("imgopen-models-style")) return;
  document.head.append(el("style", { id: "imgopen-models-style", textContent: STYLE }));
}
