/** Correct a result with a brush, and use the corrected mask as labels. */

import * as api from "./api.js";
import { $, make, swatch } from "./dom.js";
import { plural, words } from "./format.js";
import { MOST_ORGANS } from "./labelmap.js";
import { attempt, complain, say } from "./notices.js";
import { putScan, scanOf, set, shownJob, state, watch } from "./state.js";
import { queryViewer } from "./viewers.js";

/** @type {(Pick<import("./state.js").Job, "id" | "query"> & {organs: import("./state.js").FoundOrgan[]}) | null} */
let job = null;
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
  watch(["jobs", "shownJob", "mask", "correcting"], render);
  render();
}

function render() {
  $("#correct").hidden = state.correcting || !shownJob()?.result;
  $("#brush").hidden = !state.correcting;
}

function start() {
  const shown = shownJob();
  if (!shown?.result) return;
  const { organs } = shown.result;
  if ($("#query").dataset.shown !== shown.id) return complain("Choose Result above the query first: it is what you correct.");
  if (organs.length > MOST_ORGANS) return complain(`The brush works with up to ${MOST_ORGANS} organs; segment fewer.`);
  job = { id: shown.id, query: shown.query, organs };
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
  const organs = (job?.organs ?? []).map(({ colour, name }, place) => penOf(place + 1, swatch(colour), words(name)));
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
  if (!job) return;
  const values = job.organs.map((organ) => organ.value);
  const file = await drawing(job.query);
  const labels = await api.addCorrection(job.query, file, job.id, values);
  close();
  putScan(await api.scan(job.query));
  set({ supports: [...state.supports, labels.id], supportsByHand: true, mask: labels.id });
  const name = scanOf(job.query)?.name;
  say(`The corrected mask of ${name} is selected as labels. Choose the next scan and press Segment; ↓ downloads it.`);
}

/** The drawing as NIfTI, on the grid and in the order of the stored scan. @param {string} query */
async function drawing(query) {
  const bytes = await queryViewer().nv.saveImage({ filename: "", isSaveDrawing: true, volumeByIndex: 0 });
  const packed = new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (bytes)]).stream().pipeThrough(new CompressionStream("gzip"));
  const earlier = scanOf(query)?.labels.filter(({ origin }) => origin === "corrected") ?? [];
  return new File([await new Response(packed).blob()], `correction ${earlier.length + 1}.nii.gz`);
}
