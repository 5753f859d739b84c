/** Asks what files are when their names don't tell: which are scans, and whose labels the others are. */

import { $, make } from "./dom.js";
import { state } from "./state.js";

/**
 * @typedef {import("./intake.js").Kind} Kind
 *
 * @param {File[]} files
 * @param {Kind[]} plan as it is guessed
 * @returns {Promise<Kind[] | null>} as the user chose, null after Cancel
 */
export function ask(files, plan) {
  const dialog = $("#intake");
  /** @type {string[][]} */
  const fresh = files.map((file, place) => [keyOf(place), file.name]).filter((_, place) => !plan[place].labels);
  const scans = [...fresh, ...state.scans.map(({ id, name }) => [id, name])];
  const selects = files.map((file, place) => {
    const others = scans.filter(([key]) => key !== keyOf(place));
    const options = [["", "Scan"], ...others.map(([key, name]) => [key, `Labels of ${name}`])];
    const select = make("select", { "aria-label": file.name });
    select.append(...options.map(([value, text]) => make("option", { value }, text)));
    const { labels, of } = plan[place];
    if (labels) select.value = typeof of === "number" ? keyOf(of) : (of ?? others[0]?.[0] ?? "");
    return select;
  });
  /** @type {(file: File, place: number) => Node} */
  const rowOf = (file, place) =>
    make("tr", {}, make("th", { scope: "row" }, file.name), make("td", {}, selects[place]));
  $("tbody", dialog).replaceChildren(...files.map(rowOf));
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    const close = () => resolve(dialog.returnValue === "add" ? selects.map(chosen) : null);
    dialog.addEventListener("close", close, { once: true });
  });
}

/** @param {number} place */
const keyOf = (place) => `new ${place}`;

/** @param {HTMLSelectElement} select @returns {Kind} */
function chosen({ value }) {
  return { labels: Boolean(value), of: value.startsWith("new ") ? Number(value.slice(4)) : value || null };
}
