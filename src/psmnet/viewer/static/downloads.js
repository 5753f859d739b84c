/**
 * A result's files, to download.
 *
 * @typedef {import("./state.js").Job} Job
 */

import * as api from "./api.js";
import { $, make, refill } from "./dom.js";
import { attempt, say } from "./notices.js";
import { scanOf, shownJob, watch } from "./state.js";

/** @type {Record<string, string>} */
const NAMES = {
  "mask.nii.gz": "Mask",
  "uncertainty.nii.gz": "Uncertainty",
  "overlay.png": "Overlay picture",
  "mask.dcm": "DICOM SEG",
};

export function startDownloads() {
  watch(["jobs", "scans", "shownJob"], render);
  render();
}

function render() {
  const job = shownJob();
  $("#downloads").hidden = !job?.result;
  const files = job?.result?.files ?? [];
  refill($("#download-buttons"), [job?.id, files], () => (job ? files.map((name) => buttonOf(job, name)) : []));
}

/** @param {Job} job @param {string} name */
function buttonOf(job, name) {
  const [stem, ending] = name.split(".");
  return make("button", {
    type: "button",
    id: ending === "dcm" ? "download-dicom" : `download-${stem}`,
    "data-focus": name,
    "aria-label": `Download ${NAMES[name] ?? name}`,
    onclick: (/** @type {any} */ event) => attempt(() => download(job, name), event.currentTarget),
  }, NAMES[name] ?? name);
}

/** @param {Job} job @param {string} name */
async function download(job, name) {
  keep(await api.jobFile(job.id, name), `${stemOf(job.query)}_${name}`);
  say(`${NAMES[name] ?? name} downloaded.`);
}

/** Download a label set, for example a corrected mask. @param {import("./state.js").LabelSet} labels */
export async function downloadLabels(labels) {
  const kind = labels.origin === "corrected" ? "corrected" : "labels";
  keep(await api.labelsVolume(labels.id), `${stemOf(labels.scan)}_${kind}.nii.gz`);
  say(`${labels.name} downloaded.`);
}

/** @param {string} scan */
const stemOf = (scan) => (scanOf(scan)?.name ?? "scan").replace(/\.(nii|nii\.gz|nrrd|mha|zip)$/i, "");

/** Save bytes as a file. A link can't carry the token. @param {ArrayBuffer} bytes @param {string} name */
function keep(bytes, name) {
  const url = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
