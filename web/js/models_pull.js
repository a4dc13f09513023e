// "Pull weights" on a node whose module lacks them: asks, downloads through the server, shows how far it is.

import { app } from "../../../scripts/app.js";
import { call } from "./http.js";
import { confirmed } from "./profiles.js";
import { tell } from "./tell.js";
import { t } from "./words.js";

const EVERY = 700; // milliseconds

/**
 * Ask, then download.
 * @param {string} key
 * @param {(text: string, press?: () => any) => void} show puts text and action on the node's button
 */
export async function pullWeights(key, show) {
  const path = `/img_open/weights/${encodeURIComponent(key)}`;
  const about = await call("GET", path);
  if (about.state === "missing" || about.state === "failed") {
    const question = t("Download {file} from {link}? About {size} MB, licence: {licence}. It goes to {folder}.", {
      ...about, size: about.megabytes });
    if (!(await confirmed(question))) return;
    await call("POST", `${path}/pull`, { consent: true });
  }
  await follow(key, path, show);
}

async function follow(key, path, show) {
  const again = () => pullWeights(key, show);
  for (;;) {
    const now = await call("GET", path);
    if (now.state === "here") {
      show(t("{key} is here: run again", { key }), () => app.queuePrompt(0));
      return;
    }
    if (now.state !== "pulling") {
      show(t("pull again: {key}", { key }), again);
      if (now.message) throw new Error(tell(now.message, now.hint));
      return;
    }
    const percent = Math.round(now.fraction * 100);
    show(t("pulling {key}: {percent} % (click stops)", { key, percent }), () => call("POST", `${path}/stop`));
    await new Promise((done) => setTimeout(done, EVERY));
  }
}
