// Tiles of the model browser: cover or initials, name, and what is known of the model.

import { el } from "./dom.js";
import { t } from "./words.js";

export const KINDS = { checkpoint: "Checkpoint", lora: "LoRA", vae: "VAE", controlnet: "ControlNet" };
const AT_ONCE = 3; // covers: the browser has six connections, and the host needs some

/** What a kind is called; a type that only the server knows keeps its name. */
export function kindName(kind) {
  return KINDS[kind] ?? kind;
}

/**
 * One model.
 * @param {{key: string, name: string, title: string, kind: string, base: string, hash: string, version: string,
 *   bytes: number, cover: boolean}} row
 * @param {() => void} press
 */
export function tile(row, press) {
  const cover = el("div", { class: "cover", "aria-hidden": "true" }, initials(row.title));
  cover.style.background = `hsl(${hue(row.title)} 32% 40%)`;
  const facts = [kindName(row.kind), row.base, row.version, row.bytes ? size(row.bytes) : ""].filter(Boolean);
  const about = [row.title, row.name, facts.join(" \u00b7 "), row.hash && `${t("hash")}: ${row.hash}`];
  return el("button", { type: "button", class: "tile", role: "option", title: about.filter(Boolean).join("\n"),
    "data-name": row.name, "data-kind": row.kind, onclick: press },
  cover,
  el("div", { class: "name" }, row.title),
  el("div", { class: "dim" }, facts.join(" \u00b7 ")),
  el("div", { class: "dim" }, row.name),
  row.hash ? el("div", { class: "dim" }, `# ${row.hash.slice(0, 10).toLowerCase()}`) : null);
}

/** Grey tiles while the first rows are on their way. */
export function waiting(count) {
  return Array.from({ length: count }, () => el("div", { class: "tile wait", "aria-hidden": "true" }));
}

/** First letters of the first two words: "Photon Real" -> PR, "v1-5-pruned" -> V1, an ideograph stands alone. */
export function initials(title) {
  const words = title.split(/[^\p{L}\p{N}]+/u).filter(Boolean);
  const first = [...(words[0] ?? "?")];
  if (words.length < 2 || first[0].charCodeAt(0) > 0x2e00) return first.slice(0, 2).join("").toUpperCase();
  return (first[0] + [...words[1]][0]).toUpperCase();
}

function hue(text) {
  let sum = 7;
  for (const letter of text) sum = (sum * 31 + letter.codePointAt(0)) % 360;
  return sum;
}

function size(bytes) {
  return bytes < 2 ** 30 ? `${Math.max(1, Math.round(bytes / 2 ** 20))} MB` : `${(bytes / 2 ** 30).toFixed(1)} GB`;
}

/** Loads the covers of tiles that are in view, a few at a time. */
export class Covers {
  /** @param {HTMLElement} root what scrolls */
  constructor(root) {
    this.queue = [];
    this.busy = 0;
    this.watcher = new IntersectionObserver((seen) => {
      for (const one of seen) {
        if (!one.isIntersecting) continue;
        this.watcher.unobserve(one.target);
        this.queue.push(one.target);
      }
      this.next();
    }, { root, rootMargin: "200px" });
  }

  /** Show a picture on a tile once it is in view; the initials stay if it cannot be had. */
  want(tileElement, src) {
    tileElement.imgOpenCover = src;
    this.watcher.observe(tileElement);
  }

  next() {
    while (this.busy < AT_ONCE && this.queue.length) {
      const target = this.queue.shift();
      if (!target.isConnected) continue;
      this.busy += 1;
      const done = (good) => {
        this.busy -= 1;
        if (good) picture.classList.add("here");
        else picture.remove();
        this.next();
      };
      const picture = el("img", { alt: "", decoding: "async", onload: () => done(true), onerror: () => done(false) });
      target.querySelector(".cover").append(picture);
      picture.src = target.imgOpenCover;
    }
  }

  /** Forget tiles that are gone. */
  clear() {
    this.queue = [];
    this.watcher.disconnect();
  }
}
