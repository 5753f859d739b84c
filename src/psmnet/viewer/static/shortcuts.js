/**
 * Keys: single letters for frequent actions, arrows on a viewer.
 *
 * @typedef {[number, number, number]} Step
 */

import { choosePen, redo, resizeBrush, undo } from "./brush.js";
import { $ } from "./dom.js";
import { set, state } from "./state.js";
import { queryViewer, supportViewer, switchMask } from "./viewers.js";

/** @type {Record<string, () => unknown>} */
const ANYWHERE = {
  1: () => set({ view: "axial" }),
  2: () => set({ view: "coronal" }),
  3: () => set({ view: "sagittal" }),
  4: () => set({ view: "multi" }),
  5: () => set({ view: "render" }),
  l: () => set({ linked: !state.linked }),
  o: () => set({ outline: !state.outline }),
  u: () => $("#uncertainty").disabled || set({ uncertainty: !state.uncertainty }),
  s: () => $("#segment").click(),
  f: () => switchMask(),
  n: () => $("#correct-next").checkVisibility() && $("#correct-next").click(),
  c: () => $("#correct").hidden || $("#correct").click(),
  "?": () => $("#help-dialog").showModal(),
};
/** @type {Record<string, () => void>} */
const CORRECTING = {
  e: () => choosePen(0),
  b: () => choosePen(1),
  "[": () => resizeBrush(-1),
  "]": () => resizeBrush(1),
};

/**
 * What is to the right, above and behind on the screen: in steps towards the patient's right, front and head.
 *
 * @type {Record<string, {right: Step, up: Step, through: Step}>}
 */
const PLANES = {
  axial: { right: [-1, 0, 0], up: [0, 1, 0], through: [0, 0, 1] },
  coronal: { right: [-1, 0, 0], up: [0, 0, 1], through: [0, 1, 0] },
  sagittal: { right: [0, 1, 0], up: [0, 0, 1], through: [1, 0, 0] },
};
/** @type {Record<string, ["right" | "up" | "through", 1 | -1]>} */
const ARROWS = {
  ArrowRight: ["right", 1],
  ArrowLeft: ["right", -1],
  ArrowUp: ["up", 1],
  ArrowDown: ["up", -1],
  PageUp: ["through", 1],
  PageDown: ["through", -1],
};
/** @type {Record<string, number>} */
const ZOOMS = { "+": 1.25, "=": 1.25, "-": 0.8, 0: 0 };

export function startShortcuts() {
  $("#help").addEventListener("click", () => $("#help-dialog").showModal());
  const useKeys = $("#use-keys");
  useKeys.checked = localStorage.getItem("psmnet-keys") !== "off";
  useKeys.addEventListener("change", () => localStorage.setItem("psmnet-keys", useKeys.checked ? "on" : "off"));
  // In the capturing phase: NiiVue's canvases have keys of their own, which are not these.
  for (const type of /** @type {const} */ (["keydown", "keyup"])) document.addEventListener(type, onKey, true);
}

/** @param {KeyboardEvent} event */
function onKey(event) {
  const viewer = [queryViewer(), supportViewer()].find(({ canvas }) => canvas === event.target);
  if (viewer) event.stopPropagation();
  if (event.type === "keyup" || event.altKey || document.querySelector("dialog[open]")) return;
  const act = actionOf(event, viewer);
  if (!act) return;
  event.preventDefault();
  act();
}

/** @param {KeyboardEvent} event */
function strokeAction({ key, shiftKey }) {
  if (key.toLowerCase() === "z") return shiftKey ? redo : undo;
  return key.toLowerCase() === "y" && !shiftKey ? redo : undefined;
}

/** @param {KeyboardEvent} event @param {import("./viewer.js").Viewer | undefined} viewer the one with the focus */
function actionOf(event, viewer) {
  const isTyping =
    event.target instanceof Element &&
    event.target.matches("input:not([type=checkbox], [type=radio], [type=file], [type=range]), select");
  if (isTyping) return undefined;
  // Command on macOS.
  if (event.ctrlKey || event.metaKey) return state.correcting ? strokeAction(event) : undefined;
  if (viewer && event.key in ARROWS) {
    const [direction, by] = ARROWS[event.key];
    const [right, front, head] = (PLANES[state.view] ?? PLANES.axial)[direction];
    return () => viewer.step(by * right, by * front, by * head);
  }
  if (viewer && event.key in ZOOMS) return () => viewer.zoom(ZOOMS[event.key]);
  if (!$("#use-keys").checked) return undefined;
  return (state.correcting && CORRECTING[event.key]) || ANYWHERE[event.key];
}
