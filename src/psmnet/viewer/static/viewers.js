/**
 * The two viewers side by side: what each shows, and their linked cross-hairs.
 *
 * @typedef {import("./state.js").Job} Job
 * @typedef {import("./state.js").LabelSet} LabelSet
 */

import { $, offer } from "./dom.js";
import { words } from "./format.js";
import { complain } from "./notices.js";
import { labelsImage, resultImage, scanImage, uncertaintyImage } from "./pictures.js";
import { labelsOf, queryInView, scanOf, set, shownJob, state, supportsInView, titleOf, watch } from "./state.js";
import { Viewer } from "./viewer.js";

class Pane {
  #wanted = "";
  /** The other one of the two. @type {Pane} */
  other = this;

  /** @param {string} name */
  constructor(name) {
    this.section = $(`#${name}`);
    this.select = $("select", this.section);
    this.title = $(".viewer-title", this.section);
    this.readout = $(".readout", this.section);
    this.empty = $(".empty", this.section);
    this.viewer = new Viewer($("canvas", this.section));
  }

  /**
   * @param {string} key what is wanted; the same again changes nothing
   * @param {() => Promise<Partial<import("./viewer.js").Layers>>} load
   * @param {string | null} job whose result this is
   */
  async show(key, load, job = null) {
    if (key === this.#wanted) return;
    this.#wanted = key;
    delete this.section.dataset.shown;
    this.section.classList.add("loading");
    // After an error nothing is shown, so that no earlier image is mistaken for this one.
    /** @type {Partial<import("./viewer.js").Layers>} */
    const layers = await load().catch((error) => (complain(error), {}));
    if (key !== this.#wanted) return;
    this.viewer.show(layers, state.linked ? this.other.viewer.place : undefined);
    this.section.classList.remove("loading");
    this.empty.hidden = Boolean(layers.image);
    this.title.textContent = layers.scan?.name ?? "";
    this.read();
    if (job && layers.image) this.section.dataset.shown = job;
  }

  /** Show in words what is under the cross-hair. */
  read() {
    const found = this.viewer.probe();
    if (!found) return void (this.readout.textContent = "");
    const { voxel, value, organ } = found;
    const parts = [`voxel ${voxel.map((at) => at + 1).join(", ")}`, `value ${Number(value.toPrecision(4))}`];
    if (organ) parts.push(words(organ.name));
    this.readout.textContent = parts.join(" · ");
  }
}

/** @type {Pane} */ let left;
/** @type {Pane} */ let right;
/** @type {(() => void)[]} */
const listeners = [];

export const supportViewer = () => left.viewer;
export const queryViewer = () => right.viewer;

/** Call a function when the query's cross-hair moves or another query is shown. @param {() => void} listener */
export function onQueryMoved(listener) {
  listeners.push(listener);
}

export async function startViewers() {
  left = new Pane("support");
  right = new Pane("query");
  [left.other, right.other] = [right, left];
  await left.viewer.start();
  await right.viewer.start();
  for (const { viewer, other } of [left, right]) {
    viewer.onmove = () => {
      if (state.linked) other.viewer.place = viewer.place;
      moved();
    };
    viewer.onturn = () => {
      if (state.linked) other.viewer.turn = viewer.turn;
    };
  }
  left.select.addEventListener("change", () => set({ shownSupport: left.select.value }));
  right.select.addEventListener("change", () => set({ mask: right.select.value }));
  watch(["scans", "jobs", "supports", "shownJob", "shownSupport"], showSupport);
  watch(["scans", "jobs", "query", "shownJob", "mask", "uncertainty", "correcting"], showQuery);
  watch(["view", "window", "opacity", "outline", "hidden"], look);
  look();
}

function moved() {
  left.read();
  right.read();
  for (const listener of listeners) listener();
}

function look() {
  left.viewer.look(state);
  right.viewer.look(state);
}

/** Move a viewer's cross-hair into an organ, and the other's if they are linked. @param {number} value */
export function goToOrgan(value) {
  for (const pane of [right, left]) {
    if (!pane.viewer.moveInto(value)) continue;
    pane.viewer.onmove();
    return;
  }
}

/**
 * Show a point of a labelled scan. The query's cross-hair stays, so that the two can be compared.
 *
 * @param {string} labelSet id
 * @param {number[]} mm
 */
export async function lookAtSupport(labelSet, mm) {
  set({ shownSupport: labelSet });
  await showSupport();
  left.viewer.moveTo(mm);
  left.read();
}

async function showSupport() {
  const choices = supportsInView().flatMap((id) => labelsOf(id) ?? []);
  const shown = choices.find((labels) => labels.id === state.shownSupport) ?? choices[0];
  offer(left.select, choices.map((labels) => [labels.id, titleOf(labels)]), shown?.id ?? "");
  left.select.hidden = choices.length < 2;
  await left.show(shown?.id ?? "nothing", async () => {
    if (!shown) return {};
    const [image, labels] = await Promise.all([scanImage(shown.scan), labelsImage(shown)]);
    return { scan: scanOf(shown.scan) ?? null, image, labels, organs: shown.organs };
  });
}

async function showQuery() {
  if (state.correcting) return;
  const scan = scanOf(queryInView());
  const shown = shownJob();
  const job = shown?.result ? shown : undefined;
  const result = job?.result;
  const masks = [
    ...(job ? [["result", "Result"]] : []),
    ["", "No labels"],
    ...(scan?.labels ?? []).map((labels) => [labels.id, `${labels.name} (${originOf(labels, job)})`]),
  ];
  const mask = masks.some(([value]) => value === state.mask) ? state.mask : masks[0][0];
  offer(right.select, masks, mask);
  right.select.hidden = !scan || masks.length < 2;
  const hasUncertainty = state.uncertainty && result?.files.includes("uncertainty.nii.gz");
  const key = scan ? [scan.id, job?.id, mask, hasUncertainty].join(" ") : "nothing";
  await right.show(
    key,
    async () => {
      if (!scan) return {};
      const labelSet = labelsOf(mask);
      const [image, labels, uncertainty] = await Promise.all([
        scanImage(scan.id),
        mask === "result" && job ? resultImage(job) : labelSet ? labelsImage(labelSet) : null,
        hasUncertainty && job ? uncertaintyImage(job) : null,
      ]);
      return { scan, image, labels, uncertainty, organs: mask === "result" ? result?.organs : labelSet?.organs };
    },
    mask === "result" ? (job?.id ?? null) : null,
  );
  moved();
}

/** @param {LabelSet} labels @param {Job | undefined} job */
function originOf(labels, job) {
  if (labels.id === job?.reference) return "reference";
  return labels.origin === "upload" ? "uploaded" : labels.origin;
}
