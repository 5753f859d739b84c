/** The two viewers side by side: what each shows, and their linked cross-hairs. */

import { $, offer } from "./dom.js";
import { words } from "./format.js";
import { complain } from "./notices.js";
import { labelsImage, resultImage, scanImage, uncertaintyImage } from "./pictures.js";
import { labelsOf, queryInView, scanOf, set, shownJob, state, supportsInView, titleOf, watch } from "./state.js";
import { Viewer } from "./viewer.js";

class Pane {
  #wanted = "";

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
   * @param {?string} job whose result this is
   */
  async show(key, load, job = null) {
    if (key === this.#wanted) return;
    this.#wanted = key;
    delete this.section.dataset.shown;
    this.section.classList.add("loading");
    // What can't be shown leaves nothing behind that could be taken for it.
    const layers = await load().catch((error) => (complain(error), {}));
    if (key !== this.#wanted) return;
    this.viewer.show(layers, state.linked ? this.other.viewer.place : undefined);
    this.section.classList.remove("loading");
    this.empty.hidden = Boolean(layers.image);
    this.title.textContent = layers.scan?.name ?? "";
    this.read();
    if (job && layers.image) this.section.dataset.shown = job;
  }

  /** Tell in words what is under the cross-hair. */
  read() {
    const { image } = this.viewer.layers;
    if (!image) return void (this.readout.textContent = "");
    const { voxel, value, organ } = this.viewer.probe();
    const parts = [`voxel ${voxel.map((at) => at + 1).join(", ")}`, `value ${Number(value.toPrecision(4))}`];
    if (organ) parts.push(words(organ.name));
    this.readout.textContent = parts.join(" · ");
  }
}

/** @type {Pane} */ let left;
/** @type {Pane} */ let right;
const listeners = [];

export const supportViewer = () => left.viewer;
export const queryViewer = () => right.viewer;

/** Call when the query's cross-hair moved, or another query is shown. */
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

/** Move a viewer's cross-hair, and the other's if they are linked. */
export function goToOrgan(value) {
  for (const pane of [right, left]) {
    if (!pane.viewer.moveInto(value)) continue;
    pane.viewer.onmove();
    return;
  }
}

/** Look at a point of a labelled scan; the query's cross-hair stays, for this is where the two are compared. */
export async function lookAtSupport(labelSet, mm) {
  set({ shownSupport: labelSet });
  await showSupport();
  left.viewer.moveTo(mm);
  left.read();
}

async function showSupport() {
  const choices = supportsInView().map(labelsOf);
  const shown = choices.find((labels) => labels.id === state.shownSupport) ?? choices[0];
  offer(left.select, choices.map((labels) => [labels.id, titleOf(labels)]), shown?.id ?? "");
  left.select.hidden = choices.length < 2;
  await left.show(shown?.id ?? "nothing", async () => {
    if (!shown) return {};
    const [image, labels] = await Promise.all([scanImage(shown.scan), labelsImage(shown)]);
    return { scan: scanOf(shown.scan), image, labels, organs: shown.organs };
  });
}

async function showQuery() {
  if (state.correcting) return;
  const scan = scanOf(queryInView());
  const job = shownJob()?.result ? shownJob() : null;
  const masks = [
    ...(job ? [["result", "Result"]] : []),
    ["", "No labels"],
    ...(scan?.labels ?? []).map((labels) => [labels.id, `${labels.name} (${originOf(labels, job)})`]),
  ];
  const mask = masks.some(([value]) => value === state.mask) ? state.mask : masks[0][0];
  offer(right.select, masks, mask);
  right.select.hidden = !scan || masks.length < 2;
  const withDoubt = state.uncertainty && job?.result.files.includes("uncertainty.nii.gz");
  const key = scan ? [scan.id, job?.id, mask, withDoubt].join(" ") : "nothing";
  await right.show(
    key,
    async () => {
      if (!scan) return {};
      const labelSet = labelsOf(mask);
      const [image, labels, uncertainty] = await Promise.all([
        scanImage(scan.id),
        mask === "result" ? resultImage(job) : labelSet && labelsImage(labelSet),
        withDoubt ? uncertaintyImage(job) : null,
      ]);
      return { scan, image, labels, uncertainty, organs: mask === "result" ? job.result.organs : labelSet?.organs };
    },
    mask === "result" ? job?.id : null,
  );
  moved();
}

function originOf(labels, job) {
  if (labels.id === job?.reference) return "reference";
  return { upload: "uploaded", corrected: "corrected", sample: "sample" }[labels.origin] ?? labels.origin;
}
