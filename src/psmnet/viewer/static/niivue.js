/** NiiVue, which index.html loads as a plain script, and its options on this page. */

export const { Niivue, NVImage } = window.niivue;
const { DRAG_MODE, MULTIPLANAR_TYPE, SHOW_RENDER, SLICE_TYPE } = window.niivue;

export const VIEWS = {
  axial: SLICE_TYPE.AXIAL,
  coronal: SLICE_TYPE.CORONAL,
  sagittal: SLICE_TYPE.SAGITTAL,
  multi: SLICE_TYPE.MULTIPLANAR,
  render: SLICE_TYPE.RENDER,
};

/** @satisfies {ConstructorParameters<typeof Niivue>[0]} */
export const OPTIONS = {
  // The page takes files itself: NiiVue would not send them to the server.
  dragAndDropEnabled: false,
  isRadiologicalConvention: true,
  multiplanarLayout: MULTIPLANAR_TYPE.GRID,
  multiplanarShowRender: SHOW_RENDER.ALWAYS,
  multiplanarPadPixels: 4,
  dragMode: DRAG_MODE.windowing,
  crosshairColor: [0.36, 0.78, 1, 0.8],
  crosshairWidth: 1,
  crosshairWidthUnit: /** @type {const} */ ("mm"),
  crosshairGap: 8,
  fontColor: [0.8, 0.84, 0.88, 1],
  maxDrawUndoBitmaps: 32,
  loadingText: "",
  logLevel: "error",
};
