/**
 * What the next job will do, and the button that starts it.
 *
 * @typedef {import("./state.js").Scan} Scan
 */

import * as api from "./api.js";
import { $, inputs, make, offer, refill, swatch } from "./dom.js";
import { plural, words } from "./format.js";
import { putJob } from "./jobs.js";
import { attempt, say } from "./notices.js";
import { labelsOf, organsOf, scanOf, set, state, toggled, watch } from "./state.js";

export function startSetup() {
  $("#reference").addEventListener("change", (/** @type {any} */ event) => set({ reference: event.currentTarget.value || null }));
  $("#segment").addEventListener("click", (/** @type {any} */ event) => attempt(segment, event.currentTarget).then(render));
  watch(["scans", "supports", "query", "reference", "leftOut"], render);
  render();
}

function render() {
  const query = scanOf(state.query);
  const missing = whatIsMissing(query);
  $("#setup").hidden = !state.scans.length;
  $("#setup-text").textContent = missing ?? (query ? whatWillBeDone(query) : "");
  $("#segment").disabled = Boolean(missing);
  renderReference(query);
  renderOrgans();
}

/** @param {Scan | undefined} query @returns {string | null} what the user has to do before a job can start */
function whatIsMissing(query) {
  const supports = state.supports.flatMap((id) => labelsOf(id) ?? []);
  if (!supports.length) return "Tick the labels to segment from.";
  if (!query) return "Choose the scan to segment.";
  if (supports.every((labels) => labels.scan === query.id)) return "Choose another scan to segment: these labels are its own.";
  if (organsOf(state.supports).every((organ) => state.leftOut.has(organ.value))) return "Tick an organ to segment.";
  return null;
}

/** @param {Scan} query */
function whatWillBeDone(query) {
  const what = `${plural(state.supports.length, "labelled scan")} → ${query.name}`;
  const usesOwnLabels = state.supports.some((id) => labelsOf(id)?.scan === query.id);
  return usesOwnLabels ? `${what}. Its own labels are among them: results on new scans will be worse.` : what;
}

/** @param {Scan | undefined} query */
function renderReference(query) {
  const choices = [["", "none"], ...(query?.labels ?? []).map((labels) => [labels.id, labels.name])];
  $("#reference-choice").hidden = choices.length < 2;
  offer($("#reference"), choices, state.reference ?? "");
}

function renderOrgans() {
  const organs = organsOf(state.supports);
  $("#organ-choice").hidden = organs.length < 2;
  refill($("#organ-boxes"), organs, () => organs.map(boxOf));
  /** @param {number | string} value */
  const isWanted = (value) => !state.leftOut.has(Number(value));
  for (const box of inputs("#organ-boxes input")) box.checked = isWanted(box.value);
  const wanted = organs.filter((organ) => isWanted(organ.value)).length;
  $("#organ-choice summary").textContent = `Organs to segment: ${wanted === organs.length ? "all" : wanted}`;
}

/** @param {import("./state.js").Organ} organ */
function boxOf(organ) {
  const box = make("input", {
    type: "checkbox",
    value: organ.value,
    onchange: () => set({ leftOut: toggled(state.leftOut, organ.value) }),
  });
  return make("label", { className: "choice" }, box, swatch(organ.colour), words(organ.name));
}

async function segment() {
  const query = scanOf(state.query);
  if (!query) return;
  /** @type {import("./api.js").JobRequest} */
  const job = { supports: state.supports, query: query.id };
  if (state.reference) job.reference = state.reference;
  const organs = organsOf(state.supports).map((organ) => organ.value);
  const wanted = organs.filter((value) => !state.leftOut.has(value));
  if (wanted.length < organs.length) job.organs = wanted;
  const started = await api.addJob(job);
  putJob(started);
  // Its result is shown when it is done, unless the user is looking at another by then.
  set({ awaited: started.id, queryByHand: false });
  say(`Segmenting ${query.name} …`);
}
