/** One NiiVue canvas: a scan, a label map over it, and how uncertain that is. */

import { storedIndex, storedVoxel, turnedIndex, worldOf } from "./grid.js";
import { choose, colourTable, placeOf } from "./labelmap.js";
import { Niivue, OPTIONS, VIEWS } from "./niivue.js";
import { windowOf } from "./windows.js";

const CENTRE = [0.5, 0.5, 0.5];
const NOTHING = { scan: null, image: null, labels: null, organs: [], uncertainty: null };

/**
 * @typedef {{scan: ?import("./state.js").Scan, image: ?object, labels: ?object,
 *   organs: import("./state.js").Organ[], uncertainty: ?object}} Layers images of pictures.js and what they show
 */

export class Viewer {
  /** @type {Layers} */
  layers = NOTHING;
  /** Told when the user moves the cross-hair. */
  onmove = () => {};
  /** Told when the user turns the 3D view. */
  onturn = () => {};
  /** Told when a stroke is drawn, taken back or drawn again. */
  ondraw = () => {};
  hidden = new Set();
  opacity = 0.5;
  outline = false;
  #window = "auto";
  #frame = null;
  #undrawn = null;
  /** Strokes that can be taken back, and those that can be drawn again. */
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
    const parts = getComputedStyle(this.canvas).getPropertyValue("--canvas").match(/[0-9a-f]{2}/gi);
    this.nv.opts.backColor = [...parts.map((part) => parseInt(part, 16) / 255), 1];
    this.canvas.parentElement.style.backgroundColor = "";
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
      this.nv.scene.crosshairPos = place;
      this.nv.scene.pan2Dxyzmm = [0, 0, 0, 1];
      this.#applyWindow();
    }
    this.stack();
  }

  /** Hand NiiVue the layers. While a drawing is open it stands for the label map. */
  stack() {
    const { image, labels, uncertainty } = this.layers;
    this.nv.volumes = [image, this.nv.drawBitmap ? null : labels, uncertainty].filter(Boolean);
    this.nv.back = image;
    this.nv.overlays = this.nv.volumes.slice(1);
    // At once: NiiVue knows where voxels of a scan lie only when it has drawn it.
    this.#draw();
  }

  /** Make the label map a drawing, with all organs in it. */
  openDrawing() {
    choose(this.layers.labels, this.layers.organs, new Set(), false);
    this.nv.loadDrawing(this.layers.labels);
    this.nv.setDrawingEnabled(true);
    this.#undrawn = this.nv.drawBitmap.slice();
    this.#strokes = { done: 0, undone: 0 };
    this.stack();
  }

  get strokes() {
    return this.#strokes;
  }

  #drew() {
    // NiiVue keeps the drawing as it was before so many strokes, in a ring.
    const done = Math.min(this.#strokes.done + 1, OPTIONS.maxDrawUndoBitmaps - 1);
    this.#strokes = { done, undone: 0 };
    this.ondraw();
  }

  /** Take back a stroke, if there is one: NiiVue's own undo goes round its ring and ends at the newest again. */
  undo() {
    const { done, undone } = this.#strokes;
    if (!done) return;
    this.nv.drawUndo();
    this.#strokes = { done: done - 1, undone: undone + 1 };
    this.ondraw();
  }

  /** Draw a stroke again that was taken back. */
  redo() {
    const { done, undone } = this.#strokes;
    if (!undone) return;
    // One step back from two steps ahead: NiiVue has no redo.
    this.nv.currentDrawUndoBitmap += 2;
    this.nv.drawUndo();
    this.#strokes = { done: done + 1, undone: undone - 1 };
    this.ondraw();
  }

  /** Whether the drawing differs from the label map it began as. */
  get isDrawnOn() {
    return this.nv.drawBitmap?.some((rank, index) => rank !== this.#undrawn[index]) ?? false;
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
    cancelAnimationFrame(this.#frame);
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
    if (this.nv.drawBitmap) this.nv.setDrawColormap(table);
    else this.nv.updateGLVolume();
  }

  /** @param {{view: string, window: string, opacity: number, outline: boolean, hidden: Set<number>}} look */
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
    if (image) [image.cal_min, image.cal_max] = windowOf(this.#window, image, scan.modality);
  }

  /** Where the cross-hair is: fractions of the volume towards the patient's right, front and head. */
  get place() {
    return [...this.nv.scene.crosshairPos];
  }

  set place(fractions) {
    if (!this.layers.image) return;
    this.nv.scene.crosshairPos = fractions;
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
    if (this.layers.image) this.place = this.nv.mm2frac(mm, 0, true);
  }

  /** Move the cross-hair into an organ. @returns {boolean} whether the scan has it */
  moveInto(value) {
    const { image, labels, organs } = this.layers;
    const voxel = labels && placeOf(labels, organs.findIndex((organ) => organ.value === value) + 1);
    if (!voxel) return false;
    this.moveTo(worldOf(image, voxel));
    return true;
  }

  /** Move the cross-hair by whole voxels towards the patient's right, front and head. */
  step(right, front, head) {
    if (this.layers.image) this.nv.moveCrosshairInVox(right, front, head);
  }

  /** Enlarge the slices about the cross-hair; a factor of 0 shows them whole again. */
  zoom(factor) {
    if (!this.layers.image) return;
    const enlarged = Math.min(Math.max(this.nv.scene.pan2Dxyzmm[3] * factor, 1), 16);
    const centre = this.nv.frac2mm(this.nv.scene.crosshairPos);
    const shift = enlarged > 1 ? [...centre].slice(0, 3).map((mm) => -mm * (1 - 1 / enlarged)) : [0, 0, 0];
    this.nv.setPan2Dxyzmm([...shift, enlarged]);
  }

  /** The voxel (x, y, z in stored order, counted from 0) at a point of the world. */
  voxelAt(mm) {
    const { image } = this.layers;
    return storedVoxel(image, storedIndex(image, [...this.nv.frac2vox(this.nv.mm2frac(mm, 0, true))]));
  }

  /** What is under the cross-hair. */
  probe() {
    const { image, labels, organs } = this.layers;
    const turned = [...this.nv.frac2vox(this.nv.scene.crosshairPos)];
    const index = storedIndex(image, turned);
    const rank = this.nv.drawBitmap?.[turnedIndex(image, turned)] ?? labels?.ranks[index];
    const value = image.img[index] * (image.hdr.scl_slope || 1) + image.hdr.scl_inter;
    return { voxel: storedVoxel(image, index), value, organ: organs[rank - 1] };
  }
}
