/** Messages: one line of status, announced politely, and errors, which stay until they are dismissed. */

import { ApiError } from "./api.js";
import { $, make } from "./dom.js";
import { withNames } from "./state.js";

/** @type {() => Promise<void>} */
let onMissing = async () => {};

/** @param {() => Promise<void>} react called when the server no longer has what the page asked for */
export function whenMissing(react) {
  onMissing = react;
}

/** @param {string} text */
export function say(text) {
  $("#status").textContent = text;
}

/** Show an error. @param {unknown} error an Error, or a text */
export function complain(error) {
  const text = withNames(error instanceof Error ? error.message : String(error));
  console.warn(error);
  if (error instanceof ApiError && error.status === 404) void onMissing().catch(complain);
  const shown = /** @type {HTMLElement[]} */ ([...$("#errors").children]);
  shown.find((node) => node.dataset.text === text)?.remove();
  const dismiss = make("button", { type: "button", className: "quiet", onclick: () => notice.remove() }, "Dismiss");
  const notice = make("div", { className: "error", "data-text": text }, make("p", {}, text), dismiss);
  $("#errors").append(notice);
}

/**
 * Do something for the user and show what goes wrong. The control that started it is disabled meanwhile.
 *
 * @template T
 * @param {() => Promise<T>} action
 * @param {any} control
 * @returns {Promise<T | undefined>} undefined if it failed
 */
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
