/** Files that the user gives: which are scans, which are labels, and of which scan. */

import * as api from "./api.js";
import { $, make } from "./dom.js";
import { plural } from "./format.js";
import { attempt, say } from "./notices.js";
import { putScan, set, state } from "./state.js";

const LABEL_WORD = /(^|[^a-z])(labels?|labelmap|seg(mentation)?s?|masks?|gt|truth|annotations?|rois?|contours?)(?=[^a-z]|$)/gi;
const SCAN_WORD = /(^|[^a-z])(image|img|scan|volume|vol|ct|mri?)(?=[^a-z]|$)|_0000(?=\.|$)/gi;
const ENDING = /\.(nii|nii\.gz|seg\.nrrd|nrrd|mha|zip|dcm)$/i;

/** A lone DICOM file holds a segmentation: scans of many slices come zipped. */
const looksLikeLabels = (name) => name.search(LABEL_WORD) >= 0 || /\.dcm$/i.test(name);

/** What a file's name says of the patient, once what it says of the file is gone. */
const patient = (name) =>
  name.replace(ENDING, "").replace(LABEL_WORD, " ").replace(SCAN_WORD, " ").replace(/[^a-z0-9]+/gi, " ").trim().toLowerCase();

/**
 * Guess what files are from their names.
 *
 * @param {string[]} names
 * @param {{id: string, name: string}[]} known scans that are there already
 * @returns {{labels: boolean, of: ?(number | string)}[]} of each file; labels are `of` a file (its place) or a known
 *   scan (its id), or null where that is anyone's guess
 */
export function guess(names, known) {
  const isLabels = names.map(looksLikeLabels);
  const fresh = names.map((name, place) => ({ id: place, name })).filter(({ id }) => !isLabels[id]);
  const candidates = fresh.length ? fresh : known;
  return names.map((name, place) => {
    if (!isLabels[place]) return { labels: false, of: null };
    if (candidates.length === 1) return { labels: true, of: candidates[0].id };
    const namesakes = candidates.filter((scan) => patient(scan.name) === patient(name));
    return { labels: true, of: namesakes.length === 1 ? namesakes[0].id : null };
  });
}

/** Upload files; where their names leave it open what they are, ask. @param {File[]} files */
export async function takeIn(files) {
  if (!files.length) return;
  let plan = guess(files.map((file) => file.name), state.scans);
  if (plan.some(({ labels, of }) => labels && of === null)) plan = await ask(files, plan);
  if (!plan) return;
  const ids = new Map(state.scans.map((scan) => [scan.id, scan.id]));
  let taken = 0;
  // Scans first: their labels need the ids that the server gives them.
  for (const [place, file] of files.entries()) {
    if (plan[place].labels) continue;
    say(`Reading ${file.name} …`);
    const scan = await attempt(() => api.addScan(file));
    if (!scan) continue;
    taken += 1;
    ids.set(place, scan.id);
    putScan(scan);
    if (!state.query) set({ query: scan.id });
  }
  for (const [place, file] of files.entries()) {
    if (plan[place].labels && ids.has(plan[place].of)) taken += await takeInLabels(ids.get(plan[place].of), file);
  }
  say(taken === files.length ? `${plural(taken, "file")} read.` : `${taken} of ${plural(files.length, "file")} read.`);
}

/** Upload a label file of a scan; the first label set becomes the support. @returns {Promise<boolean>} whether it is there */
export async function takeInLabels(scanId, file) {
  say(`Reading ${file.name} …`);
  const labels = await attempt(() => api.addLabels(scanId, file));
  if (!labels) return false;
  putScan(await api.scan(scanId));
  say(`${labels.name} read.`);
  if (state.supports.length || state.reference) return true;
  // A scan with labels teaches; the query is better one without.
  const unlabelled = state.scans.find((scan) => !scan.labels.length);
  set({ supports: [labels.id], query: state.query === scanId ? (unlabelled?.id ?? null) : state.query });
  return true;
}

/** @returns {Promise<?ReturnType<typeof guess>>} null when the user thinks better of it */
function ask(files, plan) {
  const dialog = $("#intake");
  const scans = [...files.entries()].filter(([place]) => !plan[place].labels);
  const targets = [...scans.map(([place, file]) => [`new ${place}`, file.name]), ...state.scans.map((s) => [s.id, s.name])];
  const selects = files.map((file, place) => {
    const options = [["", "Scan"], ...targets.filter(([value]) => value !== `new ${place}`).map(([value, name]) => [value, `Labels of ${name}`])];
    const select = make("select", { "aria-label": file.name }, ...options.map(([value, text]) => make("option", { value }, text)));
    const { labels, of } = plan[place];
    if (labels) select.value = typeof of === "number" ? `new ${of}` : (of ?? options[1]?.[0] ?? "");
    return select;
  });
  $("tbody", dialog).replaceChildren(
    ...files.map((file, place) => make("tr", {}, make("th", { scope: "row" }, file.name), make("td", {}, selects[place]))),
  );
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "take" ? selects.map(chosen) : null), { once: true });
  });
}

function chosen({ value }) {
  return { labels: Boolean(value), of: value.startsWith("new ") ? Number(value.slice(4)) : value || null };
}

/** Files dropped anywhere on the page. */
export function acceptDrops() {
  const isFiles = (event) => event.dataTransfer?.types.includes("Files");
  let depth = 0;
  const mark = (by) => {
    depth = by === 0 ? 0 : depth + by;
    document.body.classList.toggle("dropping", depth > 0);
  };
  // In the capturing phase, before NiiVue's canvases stop the events.
  const on = (type, act) => document.addEventListener(type, (event) => isFiles(event) && act(event), true);
  on("dragenter", () => mark(1));
  on("dragleave", () => mark(-1));
  on("dragover", (event) => event.preventDefault());
  on("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    mark(0);
    void takeIn([...event.dataTransfer.files]);
  });
}
