/** Ask for the server's token when the page has none that it takes. */

import { $ } from "./dom.js";

/**
 * @param {boolean} isWrong whether the server has refused the one that the page had
 * @returns {Promise<string>}
 */
export function askForToken(isWrong) {
  const dialog = $("#token-dialog");
  const field = $("#token");
  field.value = "";
  $("#token-wrong").hidden = !isWrong;
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(tokenIn(field.value)), { once: true });
  });
}

/** Fill in the dialog when the address of a restarted server is opened in this window. @param {string | null} token */
export function answer(token) {
  if (!token || !$("#token-dialog").open) return;
  $("#token").value = token;
  $("#token-dialog").close();
}

/**
 * The token in what was pasted, which may be the whole address; without characters that no header can carry.
 *
 * @param {string} text
 */
function tokenIn(text) {
  return (text.match(/token=([^&\s]+)/)?.[1] ?? text).replace(/[^\x21-\x7e]/g, "");
}
