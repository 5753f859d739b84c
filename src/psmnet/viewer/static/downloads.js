/**
 * A result's files, to download.
 *
 * @typedef {import("./state.js").Found} Found
 */

import * as api from "./api.js";
import { $, make, refill } from "./dom.js";
import { attempt, say } from "./notices.js";
import { foundFile } from "./pictures.js";
import { resultInView, scanOf, watch } from "./state.js";

/** @type {Record<string, string>} */
const NAMES = {
  "mask.nii.gz": "Mask",
  "first.nii.gz": "First mask",
  "uncertainty.nii.gz": "Uncertainty",
  "overlay.png": "Overlay picture",
  "mask.dcm": "DICOM SEG",
};

export function startDownloads() {
  watch(["jobs", "scans", "query", "shownJob"], render);
  render();
}

function render() {
  const found = resultInView();
  $("#downloads").hidden = !found;
  const files = found?.files ?? [];
  refill($("#download-buttons"), [found?.job, found?.scan, files], () =>
    found ? files.map((name) => buttonOf(found, name)) : [],
  );
}

/** @param {Found} found @param {string} name */
function buttonOf(found, name) {
  const [stem, ending] = name.split(".");
  return make("button", {
    type: "button",
    id: ending === "dcm" ? "download-dicom" : `download-${stem}`,
    "data-focus": name,
    "aria-label": `Download ${NAMES[name] ?? name}`,
    onclick: (/** @type {any} */ event) => attempt(() => download(found, name), event.currentTarget),
  }, NAMES[name] ?? name);
}

/** @param {Found} found @param {string} name */
async function download(found, name) {
  keep(await foundFile(found, name), `${stemOf(found.scan)}_${name}`);
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

/** Download the network that a job has learned. @param {string} job id */
export async function downloadNetwork(job) {
  keep(await api.jobFile(job, "weights.safetensors"), "learned_network.safetensors");
  say("Learned network downloaded: psmnet segment --weights learned_network.safetensors segments scans with it.");
}

/** Save bytes as a file. A link can't carry the token. @param {ArrayBuffer} bytes @param {string} name */
function keep(bytes, name) {
  const url = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
