// What the server says (errors, notices, states, texts on nodes), in the page's language.

import { Messages } from "./messages.js";
import { report } from "./safe.js";
import { language, t } from "./words.js";

/** @type {Messages | null} */
let messages = null;
let loading = null;

/** Fetch the catalogue, once, where the page needs it. Until it is there texts stay English. */
export function loadMessages() {
  if (language() !== "zh") return Promise.resolve();
  loading ??= fetch(new URL("../words/zh.json", import.meta.url))
    .then((answer) => answer.json())
    .then((catalogue) => {
      messages = new Messages(catalogue);
    })
    .catch((error) => report("messages", error));
  return loading;
}

function find(text) {
  if (language() !== "zh") return null;
  loadMessages();
  return messages?.find(text) ?? null;
}

/** A sentence of the server, and what to do about it: both in the page's language or both in English. */
export function tell(message, hint = "") {
  const english = [message, hint].filter(Boolean).join(" ");
  return find(english) ?? english;
}

/** A text with one matter a line, as nodes show it: each line by itself. */
export function tellLines(text) {
  if (language() !== "zh") return text;
  return text.split("\n").map((line) => (line.trim() ? tellLine(line) : line)).join("\n");
}

function tellLine(line) {
  const whole = find(line);
  if (whole) return whole;
  // "refused: hr_upscaler: Left out: ..." and "width: 64 x 64 was asked for ..."
  const said = /^(?:(notice|approximated|refused): )?([\w.[\]-]+): (.+)$/.exec(line);
  const found = said && find(said[3]);
  if (found) return [said[1] ? t(said[1]) : "", said[2], found].filter(Boolean).join("\uff1a");
  const parts = line.split(" \u00b7 ");
  return parts.length > 1 ? parts.map(part).join(" \u00b7 ") : line;
}

/** A part of the line with stage, percentage, seconds and the server's words. */
function part(text) {
  const seconds = /^(\d+) s$/.exec(text)?.[1];
  if (seconds) return t("{count} s", { count: seconds });
  const word = t(text);
  return word === text ? (find(text) ?? text) : word;
}

/** An event of the host about a failure: its text in the page's language, before anybody shows it. */
export function tellError(detail) {
  const ours = String(detail?.node_type ?? "").startsWith("ImgOpen");
  const text = String(detail?.exception_message ?? "").trim();
  const blocked = /^Execution Blocked: ([^]*)$/.exec(text);
  const found = blocked ? find(blocked[1]) : ours && find(text);
  if (found) detail.imgOpenSaid = text;
  if (found) detail.exception_message = `${blocked ? t("Not run:") + " " : ""}${found}\n`;
}

/** An event of the host with a text for a node of the pack; the English text stays beside it. */
export function tellNodeText(detail, ours) {
  if (!detail || "imgOpenSaid" in detail || !ours) return;
  detail.imgOpenSaid = String(detail.text ?? "");
  detail.text = tellLines(detail.imgOpenSaid);
}
