/** What the next job is to do, and the button that starts it. */

import * as api from "./api.js";
import { $, make, offer, refill, swatch } from "./dom.js";
import { plural, words } from "./format.js";
import { putJob } from "./jobs.js";
import { attempt, say } from "./notices.js";
import { labelsOf, organsOf, scanOf, set, state, toggled, watch } from "./state.js";

export function startSetup() {
  $("#reference").addEventListener("change", (event) => set({ reference: event.currentTarget.value || null }));
  $("#segment").addEventListener("click", (event) => attempt(segment, event.currentTarget).then(render));
  watch(["scans", "supports", "query", "reference", "leftOut"], render);
  render();
}

function render() {
  const query = scanOf(state.query);
  const missing = whatIsMissing(query);
  $("#setup").hidden = !state.scans.length;
  $("#setup-text").textContent = missing ?? whatWillBeDone(query);
  $("#segment").disabled = Boolean(missing);
  renderReference(query);
  renderOrgans();
}

/** @returns {?string} what the user has to do before a job can start */
function whatIsMissing(query) {
  const supports = state.supports.map(labelsOf).filter(Boolean);
  if (!supports.length) return "Tick the labels to learn from.";
  if (!query) return "Choose the scan to segment.";
  if (supports.every((labels) => labels.scan === query.id)) return "Choose another scan to segment: this one teaches.";
  if (organsOf(state.supports).every((organ) => state.leftOut.has(organ.value))) return "Choose an organ to look for.";
  return null;
}

function whatWillBeDone(query) {
  const what = `${plural(state.supports.length, "labelled scan")} → ${query.name}`;
  const isTaught = state.supports.some((id) => labelsOf(id)?.scan === query.id);
  return isTaught ? `${what}, whose own labels teach too: a new scan won't turn out as well.` : what;
}

function renderReference(query) {
  const choices = [["", "none"], ...(query?.labels ?? []).map((labels) => [labels.id, labels.name])];
  $("#reference-choice").hidden = choices.length < 2;
  offer($("#reference"), choices, state.reference ?? "");
}

function renderOrgans() {
  const organs = organsOf(state.supports);
  $("#organ-choice").hidden = organs.length < 2;
  refill($("#organ-boxes"), organs, () => organs.map(boxOf));
  const isWanted = (value) => !state.leftOut.has(Number(value));
  for (const box of document.querySelectorAll("#organ-boxes input")) box.checked = isWanted(box.value);
  const wanted = organs.filter((organ) => isWanted(organ.value)).length;
  $("#organ-choice summary").textContent = `Organs to look for: ${wanted === organs.length ? "all" : wanted}`;
}

function boxOf(organ) {
  const box = make("input", {
    type: "checkbox",
    value: organ.value,
    onchange: () => set({ leftOut: toggled(state.leftOut, organ.value) }),
  });
  return make("label", { className: "choice" }, box, swatch(organ.colour), words(organ.name));
}

async function segment() {
  const job = { supports: state.supports, query: state.query };
  if (state.reference) job.reference = state.reference;
  const organs = organsOf(state.supports).map((organ) => organ.value);
  const wanted = organs.filter((value) => !state.leftOut.has(value));
  if (wanted.length < organs.length) job.organs = wanted;
  const started = await api.addJob(job);
  putJob(started);
  // Its result comes into view when it is done, unless another is looked at by then.
  set({ awaited: started.id, queryByHand: false });
  say(`Segmenting ${scanOf(state.query).name} …`);
}
