/** One NiiVue canvas: a scan, a label map over it, and how uncertain that is. */

import { storedIndex, storedVoxel, triple, turnedIndex, worldOf } from "./grid.js";
import { choose, colourTable, placeOf } from "./labelmap.js";
import { Niivue, OPTIONS, VIEWS } from "./niivue.js";
import { windowOf } from "./windows.js";

const CENTRE = [0.5, 0.5, 0.5];
/** @type {Layers} */
const NOTHING = { scan: null, image: null, labels: null, organs: [], uncertainty: null };

/**
 * @typedef {import("@niivue/niivue").NVImage} NVImage
 * @typedef {import("./state.js").State} State
 * @typedef {{scan: import("./state.js").Scan | null, image: NVImage | null,
 *   labels: import("./labelmap.js").LabelImage | null, organs: import("./state.js").Organ[],
 *   uncertainty: NVImage | null}} Layers images of pictures.js and what they show
 */

export class Viewer {
  /** @type {Layers} */
  layers = NOTHING;
  /** Called when the user moves the cross-hair. */
  onmove = () => {};
  /** Called when the user turns the 3D view. */
  onturn = () => {};
  /** Called after a stroke is drawn, undone or redone. */
  ondraw = () => {};
  /** @type {Set<number>} */
  hidden = new Set();
  opacity = 0.5;
  outline = false;
  /** @type {State["window"]} */
  #window = "auto";
  /** @type {number | null} */
  #frame = null;
  /** The drawing as it was opened. @type {Uint8Array | null} */
  #undrawn = null;
  /** Numbers of strokes that can be undone and redone. */
  #strokes = { done: 0, undone: 0 };

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.nv = new Niivue(OPTIONS);
    this.nv.onLocationChange = () => this.onmove();
    this.nv.onAzimuthElevationChange = () => this.onturn();
    this.nv.onDrawingChanged = (action) => action === "draw" && this.#drew();
  }

  async start() {
    await this.nv.attachToCanvas(this.canvas);
    this.#matchTheme();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#matchTheme());
  }

  #matchTheme() {
    const parts = getComputedStyle(this.canvas).getPropertyValue("--canvas").match(/[0-9a-f]{2}/gi) ?? [];
    this.nv.opts.backColor = [...parts.map((part) => parseInt(part, 16) / 255), 1];
    this.nv.drawScene();
  }

  /**
   * Show these layers. The cross-hair stays where it is as long as the scan does.
   *
   * @param {Partial<Layers>} layers
   * @param {number[]} place where the cross-hair begins in another scan
   */
  show(layers, place = CENTRE) {
    const isNew = layers.image !== this.layers.image;
    this.layers = { ...NOTHING, ...layers, organs: layers.organs ?? [] };
    if (isNew) {
      this.nv.scene.crosshairPos = triple(place);
      this.nv.scene.pan2Dxyzmm = [0, 0, 0, 1];
      this.#applyWindow();
    }
    this.stack();
  }

  /** Hand NiiVue the layers. While a drawing is open it stands for the label map. */
  stack() {
    const { image, labels, uncertainty } = this.layers;
    const layers = [image, this.nv.drawBitmap ? null : labels, uncertainty];
    this.nv.volumes = layers.filter((layer) => layer !== null);
    this.nv.back = image;
    this.nv.overlays = this.nv.volumes.slice(1);
    // At once: NiiVue knows where voxels of a scan lie only when it has drawn it.
    this.#draw();
  }

  /** Make the label map a drawing, with all organs in it. */
  openDrawing() {
    const { labels, organs } = this.layers;
    if (!labels) return;
    choose(labels, organs, new Set(), false);
    this.nv.loadDrawing(labels);
    this.nv.setDrawingEnabled(true);
    this.#undrawn = this.nv.drawBitmap?.slice() ?? null;
    this.#strokes = { done: 0, undone: 0 };
    this.stack();
  }

  get strokes() {
    return this.#strokes;
  }

  #drew() {
    // NiiVue keeps this many drawings in a ring.
    const done = Math.min(this.#strokes.done + 1, OPTIONS.maxDrawUndoBitmaps - 1);
    this.#strokes = { done, undone: 0 };
    this.ondraw();
  }

  /** Undo a stroke, if there is one: NiiVue's own undo starts again with the newest drawing after the oldest. */
  undo() {
    const { done, undone } = this.#strokes;
    if (!done) return;
    this.nv.drawUndo();
    this.#strokes = { done: done - 1, undone: undone + 1 };
    this.ondraw();
  }

  /** Redo the stroke that was undone last. */
  redo() {
    const { done, undone } = this.#strokes;
    if (!undone) return;
    // One step back from two steps ahead: NiiVue has no redo.
    this.nv.currentDrawUndoBitmap = (this.nv.currentDrawUndoBitmap ?? 0) + 2;
    this.nv.drawUndo();
    this.#strokes = { done: done + 1, undone: undone - 1 };
    this.ondraw();
  }

  /** Whether the drawing differs from the label map it began as. */
  get isDrawnOn() {
    return this.nv.drawBitmap?.some((rank, index) => rank !== this.#undrawn?.[index]) ?? false;
  }

  closeDrawing() {
    this.nv.setDrawingEnabled(false);
    this.nv.closeDrawing();
    this.stack();
  }

  /** Draw anew after a change of colours, window or opacity; the changes of a moment are drawn once. */
  refresh() {
    this.#frame ??= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    if (this.#frame !== null) cancelAnimationFrame(this.#frame);
    this.#frame = null;
    const { image, labels, organs } = this.layers;
    if (!image) return this.nv.drawScene();
    const table = colourTable(organs, this.hidden);
    if (labels) {
      choose(labels, organs, this.hidden, this.outline);
      labels.setColormapLabel(table);
      labels.opacity = this.outline ? 1 : this.opacity; // a line hides nothing
    }
    this.nv.drawOpacity = this.opacity;
    // Its types know names of colour maps only, but it takes tables as well.
    if (this.nv.drawBitmap) this.nv.setDrawColormap(/** @type {any} */ (table));
    else this.nv.updateGLVolume();
  }

  /** @param {Pick<State, "view" | "window" | "opacity" | "outline" | "hidden">} look */
  look({ view, window, opacity, outline, hidden }) {
    Object.assign(this, { opacity, hidden, outline });
    this.nv.opts.sliceType = VIEWS[view];
    // The user may have dragged another window: only a new choice takes it back.
    if (window !== this.#window) {
      this.#window = window;
      this.#applyWindow();
    }
    this.refresh();
  }

  #applyWindow() {
    const { image, scan } = this.layers;
    if (image) [image.cal_min, image.cal_max] = windowOf(this.#window, image, scan?.modality);
  }

  /** Where the cross-hair is: fractions of the volume towards the patient's right, front and head. */
  get place() {
    return [...this.nv.scene.crosshairPos];
  }

  set place(fractions) {
    if (!this.layers.image) return;
    this.nv.scene.crosshairPos = triple(fractions);
    this.nv.drawScene();
  }

  get turn() {
    return [this.nv.scene.renderAzimuth, this.nv.scene.renderElevation];
  }

  set turn([azimuth, elevation]) {
    Object.assign(this.nv.scene, { renderAzimuth: azimuth, renderElevation: elevation });
    this.nv.drawScene();
  }

  /** @param {number[]} mm a point in NIfTI's world */
  moveTo(mm) {
    if (this.layers.image) this.place = [...this.nv.mm2frac(triple(mm), 0, true)];
  }

  /** Move the cross-hair into an organ. @param {number} value @returns {boolean} whether the scan has it */
  moveInto(value) {
    const { image, labels, organs } = this.layers;
    const voxel = image && labels && placeOf(labels, organs.findIndex((organ) => organ.value === value) + 1);
    if (!image || !voxel) return false;
    this.moveTo(worldOf(image, voxel));
    return true;
  }

  /**
   * Move the cross-hair by whole voxels.
   *
   * @param {number} right towards the patient's right
   * @param {number} front
   * @param {number} head
   */
  step(right, front, head) {
    if (this.layers.image) this.nv.moveCrosshairInVox(right, front, head);
  }

  /** Enlarge the slices about the cross-hair. @param {number} factor 0 shows them whole again */
  zoom(factor) {
    if (!this.layers.image) return;
    const enlarged = Math.min(Math.max(this.nv.scene.pan2Dxyzmm[3] * factor, 1), 16);
    const centre = this.nv.frac2mm(this.nv.scene.crosshairPos);
    const [x, y, z] = triple([...centre].map((mm) => (enlarged > 1 ? -mm * (1 - 1 / enlarged) : 0)));
    this.nv.setPan2Dxyzmm([x, y, z, enlarged]);
  }

  /** The voxel (x, y, z in stored order, counted from 0) at a point of the world. @param {number[]} mm */
  voxelAt(mm) {
    const { image } = this.layers;
    if (!image) return [];
    return storedVoxel(image, storedIndex(image, [...this.nv.frac2vox(this.nv.mm2frac(triple(mm), 0, true))]));
  }

  /** What is under the cross-hair; null where there is no scan. */
  probe() {
    const { image, labels, organs } = this.layers;
    if (!image?.img || !image.hdr) return null;
    const turned = [...this.nv.frac2vox(this.nv.scene.crosshairPos)];
    const index = storedIndex(image, turned);
    const rank = this.nv.drawBitmap?.[turnedIndex(image, turned)] ?? labels?.ranks[index] ?? 0;
    const value = Number(image.img[index]) * (image.hdr.scl_slope || 1) + image.hdr.scl_inter;
    return { voxel: storedVoxel(image, index), value, organ: organs[rank - 1] };
  }
}
