/**
 * The two viewers side by side: what each shows, and their linked cross-hairs.
 *
 * @typedef {import("./state.js").Job} Job
 * @typedef {import("./state.js").LabelSet} LabelSet
 */

import { $, offer } from "./dom.js";
import { words } from "./format.js";
import { complain } from "./notices.js";
import { firstImage, labelsImage, resultImage, scanImage, uncertaintyImage } from "./pictures.js";
import { labelsOf, queryInView, resultInView, scanOf, set, shownJob, state, supportsInView, titleOf, watch } from "./state.js";
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
  watch(["scans", "jobs", "supports", "query", "shownJob", "shownSupport"], showSupport);
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

/** The organ to look at as soon as its scan is shown. @type {{scan: string, value: number} | null} */
let wantedOrgan = null;

/** @param {string} scan id @param {number} value */
export function goToOrganOf(scan, value) {
  wantedOrgan = { scan, value };
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
  const found = resultInView();
  const choices = supportsInView().flatMap((id) => labelsOf(id) ?? []);
  const shown = choices.find((labels) => labels.id === state.shownSupport) ?? choices[0];
  const isFirst = Boolean(found?.first) && (!labelsOf(state.shownSupport) || !shown);
  const options = [
    ...(found?.first ? [["first", "First mask"]] : []),
    ...choices.map((labels) => [labels.id, found?.first ? `Support: ${titleOf(labels)}` : titleOf(labels)]),
  ];
  offer(left.select, options, isFirst ? "first" : (shown?.id ?? ""));
  left.select.hidden = options.length < 2;
  $("#support-title").textContent = isFirst ? "First mask" : "Support";
  if (found && isFirst) {
    await left.show(`first ${found.job} ${found.scan}`, async () => {
      const [image, labels] = await Promise.all([scanImage(found.scan), firstImage(found)]);
      return { scan: scanOf(found.scan) ?? null, image, labels, organs: found.first ?? [] };
    });
    return;
  }
  await left.show(shown?.id ?? "nothing", async () => {
    if (!shown) return {};
    const [image, labels] = await Promise.all([scanImage(shown.scan), labelsImage(shown)]);
    return { scan: scanOf(shown.scan) ?? null, image, labels, organs: shown.organs };
  });
}

async function showQuery() {
  if (state.correcting) return;
  const scan = scanOf(queryInView());
  const found = resultInView();
  const masks = [
    ...(found ? [["result", found.first ? "Learned mask" : "Result"]] : []),
    ...(found?.first ? [["first", "First mask"]] : []),
    ["", "No labels"],
    ...(scan?.labels ?? []).map((labels) => [labels.id, `${labels.name} (${originOf(labels, shownJob())})`]),
  ];
  const mask = masks.some(([value]) => value === state.mask) ? state.mask : masks[0][0];
  offer(right.select, masks, mask);
  right.select.hidden = !scan || masks.length < 2;
  const hasUncertainty = state.uncertainty && found?.files.includes("uncertainty.nii.gz");
  const key = scan ? [scan.id, found?.job, mask, hasUncertainty].join(" ") : "nothing";
  await right.show(
    key,
    async () => {
      if (!scan) return {};
      const labelSet = labelsOf(mask);
      const [image, labels, uncertainty] = await Promise.all([
        scanImage(scan.id),
        maskImage(mask, found, labelSet),
        hasUncertainty && found ? uncertaintyImage(found) : null,
      ]);
      const organs = { result: found?.organs, first: found?.first ?? undefined }[mask] ?? labelSet?.organs;
      return { scan, image, labels, uncertainty, organs };
    },
    mask === "result" ? (found?.job ?? null) : null,
  );
  if (wantedOrgan && wantedOrgan.scan === right.viewer.layers.scan?.id) {
    goToOrgan(wantedOrgan.value);
    wantedOrgan = null;
  }
  moved();
}

/**
 * @param {string} mask as in the state
 * @param {import("./state.js").Found | null} found
 * @param {LabelSet | undefined} labelSet
 */
function maskImage(mask, found, labelSet) {
  if (found && mask === "result") return resultImage(found);
  if (found && mask === "first") return firstImage(found);
  return labelSet ? labelsImage(labelSet) : null;
}

/** Switch between a scan's learned mask and its first mask. */
export function switchMask() {
  if (resultInView()?.first && !state.correcting) set({ mask: state.mask === "first" ? "result" : "first" });
}

/** @param {LabelSet} labels @param {Job | undefined} job */
function originOf(labels, job) {
  if (labels.id === job?.reference) return "reference";
  return labels.origin === "upload" ? "uploaded" : labels.origin;
}
