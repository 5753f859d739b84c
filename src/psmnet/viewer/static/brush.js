/** Correct a result with a brush, and use the corrected mask as labels. */

import * as api from "./api.js";
import { $, make, swatch } from "./dom.js";
import { plural, words } from "./format.js";
import { MOST_ORGANS } from "./labelmap.js";
import { attempt, complain, say } from "./notices.js";
import { putScan, resultInView, scanOf, set, state, watch } from "./state.js";
import { queryViewer } from "./viewers.js";

/** What is corrected. @type {import("./state.js").Found | null} */
let found = null;
let pen = 1;

export function startBrush() {
  $("#correct").addEventListener("click", start);
  $("#leave-correction").addEventListener("click", leave);
  $("#undo").addEventListener("click", undo);
  $("#redo").addEventListener("click", redo);
  queryViewer().ondraw = renderStrokes;
  $("#use-correction").addEventListener("click", (/** @type {any} */ event) => attempt(use, event.currentTarget));
  $("#brush-size").addEventListener("input", hold);
  $("#brush-fill").addEventListener("change", hold);
  addEventListener("beforeunload", (event) => state.correcting && event.preventDefault());
  watch(["jobs", "query", "shownJob", "mask", "correcting"], render);
  render();
}

function render() {
  $("#correct").hidden = state.correcting || !resultInView();
  $("#brush").hidden = !state.correcting;
}

function start() {
  const shown = resultInView();
  if (!shown) return;
  const { organs } = shown;
  const mask = shown.first ? "Learned mask" : "Result";
  if ($("#query").dataset.shown !== shown.job) return complain(`Choose ${mask} above the query first: it is what you correct.`);
  if (organs.length > MOST_ORGANS) return complain(`The brush works with up to ${MOST_ORGANS} organs; segment fewer.`);
  found = shown;
  // Hidden organs could be drawn over unnoticed.
  set({ correcting: true, hidden: new Set() });
  queryViewer().openDrawing();
  pen = 1;
  renderPens();
  renderStrokes();
  hold();
  say("Draw on the query's slices.");
}

function renderPens() {
  const organs = (found?.organs ?? []).map(({ colour, name }, place) => penOf(place + 1, swatch(colour), words(name)));
  const eraser = penOf(0, make("span", { className: "swatch rubber" }), "Eraser");
  $("#pens").replaceChildren(...organs, eraser);
}

/** @param {number} value @param {Node} mark @param {string} name */
function penOf(value, mark, name) {
  const radio = make("input", {
    type: "radio",
    name: "pen",
    checked: value === pen,
    "data-pen": value,
    onchange: () => choosePen(value),
  });
  return make("label", { className: "choice" }, radio, mark, name);
}

/** @param {number} value an organ's rank, 0 for the eraser */
export function choosePen(value) {
  pen = value;
  const radio = $(`[data-pen="${value}"]`);
  if (radio) radio.checked = true;
  hold();
}

/** @param {number} by pixels */
export function resizeBrush(by) {
  $("#brush-size").valueAsNumber += by;
  hold();
}

/** Set NiiVue's pen to the choices on the page. */
function hold() {
  const { nv } = queryViewer();
  const size = $("#brush-size").valueAsNumber;
  $("#brush-size-text").textContent = `${size} px`;
  nv.opts.penSize = size;
  nv.setPenValue(pen, $("#brush-fill").checked && pen > 0);
}

export const undo = () => queryViewer().undo();
export const redo = () => queryViewer().redo();

function renderStrokes() {
  const { done, undone } = queryViewer().strokes;
  $("#undo").disabled = !done;
  $("#undo").title = done ? `Undo the last of ${plural(done, "stroke")}` : "No stroke to undo";
  $("#redo").disabled = !undone;
  $("#redo").title = undone ? `Redo 1 of ${plural(undone, "undone stroke")}` : "No stroke to redo";
}

function leave() {
  if (queryViewer().isDrawnOn && !confirm("Discard this correction?")) return;
  close();
  say("Correction cancelled; the result is unchanged.");
}

function close() {
  queryViewer().closeDrawing();
  set({ correcting: false });
}

/** Upload the corrected mask as labels of the query, and select them as a support. */
async function use() {
  if (!found) return;
  const { scan, job, organs, first } = found;
  const values = organs.map((organ) => organ.value);
  const labels = await api.addCorrection(scan, await drawing(scan), job, values);
  close();
  putScan(await api.scan(scan));
  set({ supports: [...state.supports, labels.id], supportsByHand: true, mask: labels.id });
  const next = first ? "Correct the next one, or learn again" : "Choose the next scan and press Segment; ↓ downloads it";
  say(`The corrected mask of ${scanOf(scan)?.name} is selected as labels. ${next}.`);
}

/** The drawing as NIfTI, on the grid and in the order of the stored scan. @param {string} query */
async function drawing(query) {
  const bytes = await queryViewer().nv.saveImage({ filename: "", isSaveDrawing: true, volumeByIndex: 0 });
  const packed = new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (bytes)]).stream().pipeThrough(new CompressionStream("gzip"));
  const earlier = scanOf(query)?.labels.filter(({ origin }) => origin === "corrected") ?? [];
  return new File([await new Response(packed).blob()], `correction ${earlier.length + 1}.nii.gz`);
}
