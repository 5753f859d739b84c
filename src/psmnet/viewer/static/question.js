/** What the names of files leave open is asked: which are scans, and whose labels are the others. */

import { $, make } from "./dom.js";
import { state } from "./state.js";

/**
 * @param {File[]} files
 * @param {ReturnType<typeof import("./intake.js").guess>} plan as it is guessed
 * @returns {Promise<?typeof plan>} as the user wants it, null when they think better of it
 */
export function ask(files, plan) {
  const dialog = $("#intake");
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
  const rowOf = (file, place) =>
    make("tr", {}, make("th", { scope: "row" }, file.name), make("td", {}, selects[place]));
  $("tbody", dialog).replaceChildren(...files.map(rowOf));
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    const close = () => resolve(dialog.returnValue === "take" ? selects.map(chosen) : null);
    dialog.addEventListener("close", close, { once: true });
  });
}

const keyOf = (place) => `new ${place}`;

function chosen({ value }) {
  return { labels: Boolean(value), of: value.startsWith("new ") ? Number(value.slice(4)) : value || null };
}
