/**
 * Files that the user adds: which are scans, which are labels, and of which scan.
 *
 * @typedef {{labels: boolean, of: number | string | null}} Kind whether a file holds labels, and of which file (its
 *   place) or scan on the server (its id) they are; null where that is unknown
 * @typedef {import("./state.js").LabelSet} LabelSet
 */

import * as api from "./api.js";
import { bundled, filesOf } from "./folders.js";
import { plural } from "./format.js";
import { attempt, complain, say } from "./notices.js";
import { ask } from "./question.js";
import { selectAdded } from "./selection.js";
import { putScan, scanOf, state } from "./state.js";

const LABEL_WORD =
  /(^|[^a-z])(labels?|labelmap|seg(mentation)?s?|masks?|gt|truth|annotations?|rois?|contours?)(?=[^a-z]|$)/gi;
const SCAN_WORD = /(^|[^a-z])(image|img|scan|volume|vol|ct|mri?)(?=[^a-z]|$)|_0000(?=\.|$)/gi;
const ENDING = /\.(nii|nii\.gz|seg\.nrrd|nrrd|mha|zip|dcm)$/i;

/**
 * Whether a scan named as nnU-Net names them belongs to `name`: case_0000.nii.gz to case.nii.gz.
 *
 * @param {string} name
 * @param {string[]} names
 */
const isBesideChannel = (name, names) => names.includes(name.replace(ENDING, "_0000$&"));

/** A single DICOM file holds a segmentation: scans of many slices come zipped. @param {string} name */
const looksLikeLabels = (name) => name.search(LABEL_WORD) >= 0 || /\.dcm$/i.test(name);

/** What is left of a file's name without the words for its kind and format: the patient. @param {string} name */
const patient = (name) =>
  [ENDING, LABEL_WORD, SCAN_WORD, /[^a-z0-9]+/gi]
    .reduce((rest, word) => rest.replace(word, " "), name)
    .trim()
    .toLowerCase();

/**
 * Guess what files are from their names.
 *
 * @param {string[]} names
 * @param {{id: string, name: string}[]} known scans that are there already
 * @returns {Kind[]} of each file
 */
export function guess(names, known) {
  const isLabels = names.map((name) => looksLikeLabels(name) || isBesideChannel(name, names));
  /** @type {{id: number | string, name: string}[]} */
  const fresh = names.map((name, place) => ({ id: place, name })).filter((_, place) => !isLabels[place]);
  const candidates = fresh.length ? fresh : known;
  return names.map((name, place) => {
    if (!isLabels[place]) return { labels: false, of: null };
    if (candidates.length === 1) return { labels: true, of: candidates[0].id };
    const namesakes = candidates.filter((scan) => patient(scan.name) === patient(name));
    return { labels: true, of: namesakes.length === 1 ? namesakes[0].id : null };
  });
}

/** Upload files; where their names leave it open what they are, ask. @param {File[]} given */
export async function takeIn(given) {
  const files = await bundled(given);
  if (!files.length) return;
  /** @type {Kind[] | null} */
  let plan = guess(files.map((file) => file.name), state.scans);
  if (plan.some(({ labels, of }) => labels && of === null)) plan = await ask(files, plan);
  if (!plan) return;
  /** @type {Map<number | string | null, string>} */
  const ids = new Map(state.scans.map((scan) => [scan.id, scan.id]));
  /** @type {string[]} */
  const scans = [];
  /** @type {LabelSet[]} */
  const labelSets = [];
  // Scans first: their labels need the ids that the server gives them.
  for (const [place, file] of files.entries()) {
    if (plan[place].labels) continue;
    say(`Reading ${file.name} …`);
    const scan = await attempt(() => naming(file, api.addScan(file)));
    if (!scan) continue;
    ids.set(place, scan.id);
    putScan(scan);
    scans.push(scan.id);
  }
  for (const [place, file] of files.entries()) {
    const { labels, of } = plan[place];
    if (!labels) continue;
    const scanId = ids.get(of);
    const added = scanId && (await uploadLabels(scanId, file));
    if (added) labelSets.push(added);
    else if (!scanId) complain(`${file.name}: not added, because its scan is missing.`);
  }
  selectAdded(scans, labelSets);
  const count = scans.length + labelSets.length;
  const read = count === files.length ? plural(count, "file") : `${count} of ${plural(files.length, "file")}`;
  const other = scans.length && !scans.includes(state.query ?? "") ? scanOf(state.query) : null;
  say(`${read} added.${other ? ` The scan to segment is still ${other.name}.` : ""}`);
}

/**
 * Put a file's name before an error: the server doesn't repeat it.
 *
 * @template T
 * @param {File} file
 * @param {Promise<T>} upload
 */
async function naming(file, upload) {
  try {
    return await upload;
  } catch (error) {
    if (error instanceof Error) error.message = `${file.name}: ${error.message}`;
    throw error;
  }
}

/** Upload a label file of a scan that is on the server. @param {string} scanId @param {File} file */
export async function takeInLabels(scanId, file) {
  const labels = await uploadLabels(scanId, file);
  if (!labels) return;
  selectAdded([], [labels]);
  say(`${labels.name} added.`);
}

/**
 * @param {string} scanId
 * @param {File} file
 * @returns {Promise<LabelSet | undefined>} undefined if it could not be read
 */
async function uploadLabels(scanId, file) {
  say(`Reading ${file.name} …`);
  const labels = await attempt(() => naming(file, api.addLabels(scanId, file)));
  if (labels) putScan(await api.scan(scanId));
  return labels;
}

/** Files dropped anywhere on the page. */
export function acceptDrops() {
  /** @param {DragEvent} event */
  const isFiles = (event) => event.dataTransfer?.types.includes("Files");
  let depth = 0;
  /** @param {number} by 1 on entering an element, -1 on leaving one, 0 at the end */
  const mark = (by) => {
    depth = by === 0 ? 0 : depth + by;
    document.body.classList.toggle("dropping", depth > 0);
  };
  // In the capturing phase, before NiiVue's canvases stop the events.
  /** @type {(type: "dragenter" | "dragleave" | "dragover" | "drop", act: (event: DragEvent) => void) => void} */
  const on = (type, act) => document.addEventListener(type, (event) => isFiles(event) && act(event), true);
  on("dragenter", () => mark(1));
  on("dragleave", () => mark(-1));
  on("dragover", (event) => event.preventDefault());
  on("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    mark(0);
    const files = filesOf(event.dataTransfer ?? new DataTransfer());
    void attempt(async () => takeIn(await files));
  });
}
