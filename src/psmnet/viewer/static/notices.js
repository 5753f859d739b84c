/** What the page tells: a line of status, read out politely, and errors, which stay until they are dismissed. */

import { $, make } from "./dom.js";
import { withNames } from "./state.js";

let onMissing = async () => {};

/** @param {() => Promise<void>} react called when the server no longer has what the page asked for */
export function whenMissing(react) {
  onMissing = react;
}

/** @param {string} text */
export function say(text) {
  $("#status").textContent = text;
}

/** @param {unknown} error shown as it is worded */
export function complain(error) {
  const text = withNames(error instanceof Error ? error.message : String(error));
  console.warn(error);
  if (error?.status === 404) void onMissing().catch(complain);
  const same = [...$("#errors").children].find((node) => node.dataset.text === text);
  same?.remove();
  const dismiss = make("button", { type: "button", className: "quiet", onclick: () => notice.remove() }, "Dismiss");
  const notice = make("div", { className: "error", "data-text": text }, make("p", {}, text), dismiss);
  $("#errors").append(notice);
}

/** Do something for the user; what goes wrong is shown. While it runs, the control that asked for it rests. */
export async function attempt(action, control = null) {
  if (control) control.disabled = true;
  try {
    return await action();
  } catch (error) {
    complain(error);
    return undefined;
  } finally {
    if (control) control.disabled = false;
  }
}
