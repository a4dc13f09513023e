// Sentences of the server (errors, notices, states) in another language. The server speaks English; the catalogue
// (web/words/zh.json, made complete by tests/unit/test_web_messages.py) holds each sentence as a template with
// named values. What is not in it stays English as a whole: no sentence is half translated.

const DEEPEST = 3; // errors inside errors
const MOST = 500; // remembered answers
// Values that are words of the pack and not the user's: without their translation the sentence stays English.
const WORDS = /^(allowed|what|about|field|why|reason|word)\d*$/;

const BETWEEN = /(?<=[\u4e00-\u9fff]) (?=[\u4e00-\u9fff])/g; // a space where a Chinese word took a name's place
const SHORT = /(^|_)(id|number|done|total|least)\d*$/; // values without spaces
const FEW = 8; // letters: a template that begins with a value and says less would match nearly anything

/** @typedef {{pattern: RegExp, names: string[], text: string, weight: number}} Template */

/** @returns {Template} */
function compile(template, text) {
  const names = [];
  const letters = template.replace(/\{\w+\}|[^A-Za-z]/g, "").length;
  const tight = template.startsWith("{") && letters < FEW;
  let weight = 0;
  const pattern = template.split(/(\{\w+\})/).map((part) => {
    const name = /^\{(\w+)\}$/.exec(part)?.[1];
    if (!name) {
      weight += part.length;
      return part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    }
    names.push(name);
    return tight || SHORT.test(name) ? "(\\S*?)" : "([^]*?)";
  }).join("");
  return { pattern: new RegExp(`^${pattern}$`), names, text, weight };
}

export class Messages {
  /** @param {Record<string, Record<string, string>>} catalogue texts by kind: messages, hints, allowed, phrases */
  constructor(catalogue) {
    /** @type {Record<string, Template[]>} */
    this.kinds = {};
    for (const [kind, texts] of Object.entries(catalogue)) {
      this.kinds[kind] = Object.entries(texts).map(([template, text]) => compile(template, text));
      this.kinds[kind].sort((one, other) => other.weight - one.weight); // the most particular one first
    }
    this.exact = new Map(Object.values(catalogue).flatMap((texts) => Object.entries(texts)));
    /** @type {Map<string, string | null>} */
    this.known = new Map();
  }

  /** A sentence, or a message with its hint behind it, in the other language; null when it is not known. */
  find(text, depth = 0) {
    const plain = String(text).trim();
    const kept = depth ? undefined : this.known.get(plain);
    if (kept !== undefined) return kept;
    const found = this.exact.get(plain) ?? this.both(plain, depth) ??
      this.whole("messages", plain, depth) ?? this.whole("hints", plain, depth);
    if (!depth) {
      if (this.known.size > MOST) this.known.clear();
      this.known.set(plain, found);
    }
    return found;
  }

  /** A text that is one template of a kind as a whole. */
  whole(kind, text, depth) {
    for (const template of this.kinds[kind] ?? []) {
      const match = template.pattern.exec(text);
      const filled = match && this.fill(template, match.slice(1), depth);
      if (filled) return filled;
    }
    return null;
  }

  /** "Message. Hint." */
  both(text, depth) {
    for (let at = text.indexOf(" "); at >= 0; at = text.indexOf(" ", at + 1)) {
      const hint = this.whole("hints", text.slice(at + 1), depth);
      const message = hint && this.whole("messages", text.slice(0, at), depth);
      if (message) return message + hint;
    }
    return null;
  }

  fill(template, values, depth) {
    const filled = new Map();
    for (const [index, name] of template.names.entries()) {
      const value = values[index];
      const may = depth < DEEPEST && (/\s/.test(value) || WORDS.test(name)); // a word alone is mostly a name
      const known = may ? this.value(value, depth + 1) : null;
      if (known === null && WORDS.test(name) && /[a-z]{2,} [a-z]{2,}/i.test(value)) return null;
      filled.set(name, known ?? value);
    }
    const text = template.text.replace(/\{(\w+)\}/g, (all, name) => filled.get(name) ?? all);
    return text.replace(BETWEEN, "");
  }

  /** A value that is a text of the pack itself. */
  value(text, depth) {
    if (!/[a-z]{2}/i.test(text)) return null;
    const exact = this.exact.get(text);
    if (exact) return exact;
    const quoted = /^(["'])([^]*)\1$/.exec(text); // the words of a server that speaks as this pack does
    if (quoted) {
      const inside = this.find(quoted[2].replaceAll("\\'", "'"), depth);
      return inside && `\u201c${inside}\u201d`;
    }
    return this.whole("allowed", text, depth) ?? this.whole("phrases", text, depth) ?? this.find(text, depth);
  }
}
