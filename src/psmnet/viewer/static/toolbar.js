/** How both viewers show what they show. */

import { $, inputs, make } from "./dom.js";
import { CLEARLY_UNCERTAIN } from "./pictures.js";
import { queryInView, resultInView, scanOf, set, state, supportsInView, labelsOf, watch } from "./state.js";
import { WINDOWS } from "./windows.js";

/** @type {("outline" | "uncertainty" | "linked")[]} */
const TOGGLES = ["outline", "uncertainty", "linked"];

export function startToolbar() {
  for (const radio of inputs("[name=view]")) {
    const view = /** @type {typeof state.view} */ (radio.value);
    radio.addEventListener("change", () => set({ view }));
  }
  $("#window").append(...Object.entries(WINDOWS).map(([value, { label }]) => make("option", { value }, label)));
  $("#window").addEventListener("change", (/** @type {any} */ event) => set({ window: event.currentTarget.value }));
  $("#opacity").addEventListener("input", (/** @type {any} */ event) => set({ opacity: event.currentTarget.valueAsNumber / 100 }));
  for (const name of TOGGLES) {
    $(`#${name}`).addEventListener("change", (/** @type {any} */ event) => set({ [name]: event.currentTarget.checked }));
  }
  $("#uncertainty-scale output").textContent = CLEARLY_UNCERTAIN;
  watch(["view", "window", "opacity", ...TOGGLES], render);
  watch(["scans", "jobs", "supports", "query", "shownJob", "uncertainty"], renderLimits);
  render();
  renderLimits();
}

function render() {
  for (const radio of inputs("[name=view]")) radio.checked = radio.value === state.view;
  $("#window").value = state.window;
  $("#opacity").value = Math.round(100 * state.opacity);
  $("#opacity-text").textContent = `${Math.round(100 * state.opacity)} %`;
  for (const name of TOGGLES) $(`#${name}`).checked = state[name];
}

/** Hounsfield units mean nothing outside CT, and only some results come with their uncertainty. */
function renderLimits() {
  const scans = [queryInView(), ...supportsInView().map((id) => labelsOf(id)?.scan)].map(scanOf);
  const isCt = scans.some((scan) => scan?.modality === "CT");
  for (const option of $("#window").options) {
    option.disabled = !isCt && Boolean(WINDOWS[/** @type {keyof typeof WINDOWS} */ (option.value)].hounsfield);
  }
  if ($("#window").selectedOptions[0]?.disabled) set({ window: "auto" });
  const files = resultInView()?.files ?? [];
  $("#uncertainty").disabled = !files.includes("uncertainty.nii.gz");
  $("#uncertainty-scale").hidden = !state.uncertainty || $("#uncertainty").disabled;
}
