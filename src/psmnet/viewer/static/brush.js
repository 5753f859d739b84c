/** Correct a result with a brush, and teach with what was corrected. */

import * as api from "./api.js";
import { $, make, swatch } from "./dom.js";
import { plural, words } from "./format.js";
import { MOST_ORGANS } from "./labelmap.js";
import { attempt, complain, say } from "./notices.js";
import { putScan, scanOf, set, shownJob, state, watch } from "./state.js";
import { queryViewer } from "./viewers.js";

/** @type {?import("./state.js").Job} */
let job = null;
let pen = 1;

export function startBrush() {
  $("#correct").addEventListener("click", start);
  $("#leave-correction").addEventListener("click", leave);
  $("#undo").addEventListener("click", undo);
  $("#redo").addEventListener("click", redo);
  queryViewer().ondraw = renderStrokes;
  $("#use-correction").addEventListener("click", (event) => attempt(use, event.currentTarget));
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
  job = shownJob();
  const isInView = $("#query").dataset.shown === job.id;
  if (!isInView) return complain("Lay the result over the query first: it is what is corrected.");
  const hasRoom = job.result.organs.length <= MOST_ORGANS;
  if (!hasRoom) return complain(`A drawing has room for ${MOST_ORGANS} organs; segment fewer.`);
  // Whatever is hidden would be drawn over unseen.
  set({ correcting: true, hidden: new Set() });
  queryViewer().openDrawing();
  pen = 1;
  renderPens();
  renderStrokes();
  hold();
  say("Draw on the query's slices. Undo takes back a stroke.");
}

function renderPens() {
  const organs = job.result.organs.map(({ colour, name }, place) => penOf(place + 1, swatch(colour), words(name)));
  const eraser = penOf(0, make("span", { className: "swatch rubber" }), "Eraser");
  $("#pens").replaceChildren(...organs, eraser);
}

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

export function resizeBrush(by) {
  $("#brush-size").valueAsNumber += by;
  hold();
}

/** Give NiiVue the pen as it is set. */
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
  $("#undo").title = done ? `Take back the last of ${plural(done, "stroke")}` : "There is no stroke to take back";
  $("#redo").disabled = !undone;
  $("#redo").title = undone ? `Draw again the last of ${plural(undone, "undone stroke")}` : "There is no undone stroke";
}

function leave() {
  if (queryViewer().isDrawnOn && !confirm("Throw this correction away?")) return;
  close();
  say("Left the correction; the result is as it was.");
}

function close() {
  queryViewer().closeDrawing();
  set({ correcting: false });
}

/** Make the corrected mask a labelled scan, and a support of what is segmented next. */
async function use() {
  const values = job.result.organs.map((organ) => organ.value);
  const file = await drawing();
  const labels = await api.addCorrection(job.query, file, job.id, values);
  close();
  putScan(await api.scan(job.query));
  set({ supports: [...state.supports, labels.id], supportsByHand: true, mask: labels.id });
  const { name } = scanOf(job.query);
  say(`The corrected ${name} is a support now: choose the next scan and press Segment. ↓ beside it in the list downloads it.`);
}

/** The drawing as NIfTI, on the grid and in the order of the stored scan. */
async function drawing() {
  const bytes = await queryViewer().nv.saveImage({ filename: "", isSaveDrawing: true, volumeByIndex: 0 });
  const packed = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  const earlier = scanOf(job.query).labels.filter(({ origin }) => origin === "corrected").length;
  return new File([await new Response(packed).blob()], `correction ${earlier + 1}.nii.gz`);
}
