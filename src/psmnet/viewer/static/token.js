/** Ask for the server's token when the page has none that it takes. */

import { $ } from "./dom.js";

/** @returns {Promise<string>} */
export function askForToken() {
  const dialog = $("#token-dialog");
  const field = $("#token");
  field.value = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(tokenIn(field.value)), { once: true });
  });
}

/** Answer for the user: the address of a restarted server was opened in this very window. @param {?string} token */
export function answer(token) {
  if (!token || !$("#token-dialog").open) return;
  $("#token").value = token;
  $("#token-dialog").close();
}

/** People paste the whole address as often as the token. */
function tokenIn(text) {
  return text.match(/token=([^&\s]+)/)?.[1] ?? text.trim();
}
