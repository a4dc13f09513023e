// The pack's routes. Errors arrive as {error: {code, message, hint}} and are thrown as ImgOpenError.

import { api } from "../../../scripts/api.js";
import { tell } from "./tell.js";

export class ImgOpenError extends Error {
  /** @param {{code?: string, message?: string, hint?: string, task_id?: string}} told */
  constructor(told) {
    super(tell(told.message ?? "", told.hint));
    this.code = told.code ?? "error";
    this.taskId = told.task_id;
  }
}

/** The answer's JSON. */
export async function call(method, path, body) {
  const options = { method, cache: /** @type {RequestCache} */ ("no-store") };
  if (method !== "GET") {
    Object.assign(options, {
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body ?? {}),
    });
  }
  const answer = await api.fetchApi(path, options);
  const value = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    throw new ImgOpenError(value.error ?? { message: `The server answered ${answer.status}.` });
  }
  return value;
}

/** A route that is polled: null while the server says that nothing changed. */
export class Watched {
  constructor(path) {
    this.path = path;
    this.tag = "";
  }

  async get() {
    const headers = this.tag ? { "If-None-Match": this.tag } : {};
    const answer = await api.fetchApi(this.path, { headers, cache: "no-store" });
    if (answer.status === 304) return null;
    const value = await answer.json();
    if (!answer.ok) throw new ImgOpenError(value.error ?? {});
    this.tag = answer.headers.get("ETag") ?? "";
    return value;
  }
}

/** The address of a route for an image. */
export function address(path) {
  return api.apiURL(path);
}
