/** The organs in view: their colours, what was found of them, and whether they are drawn. */

import * as api from "./api.js";
import { $, inputs, make, refill, swatch } from "./dom.js";
import { millilitres, percent, words } from "./format.js";
import { organsOf, set, shownJob, state, supportsInView, toggled, watch } from "./state.js";
import { goToOrgan } from "./viewers.js";

/**
 * @typedef {import("./state.js").Organ} Organ
 * @typedef {import("./state.js").FoundOrgan} FoundOrgan
 * @typedef {import("./state.js").Metric} Metric
 */

/** @type {Metric[]} in the order of their columns */
let known = [];

export function startOrgans() {
  watch(["scans", "jobs", "supports", "shownJob", "hidden"], render);
  $("#all-organs").addEventListener("click", () => set({ hidden: new Set() }));
  render();
}

/** Ask the server for the metrics that results are measured by. */
export async function refreshMetrics() {
  known = await api.metrics();
  refill($("#metric-terms"), known, () =>
    known.flatMap(({ heading, meaning }) => [make("dt", {}, heading), make("dd", {}, meaning)]));
  render();
}

function render() {
  const result = shownJob()?.result;
  const found = result?.organs ?? [];
  const organs = result ? found : organsOf(supportsInView());
  const metrics = known.filter(({ name }) => found.some((organ) => typeof organ.metrics?.[name] === "number"));
  $("#organs-card").hidden = !organs.length;
  $("#organs-title").textContent = result ? "Organs of the result" : "Organs";
  $("#all-organs").hidden = !state.hidden.size;
  refill($("#organs thead"), [Boolean(result), metrics], () => [headOf(Boolean(result), metrics)]);
  const rows = () => (result ? found.map((organ) => foundRow(organ, metrics)) : organs.map((organ) => rowOf(organ)));
  refill($("#organs tbody"), [Boolean(result), organs, metrics], rows);
  for (const box of inputs("#organs input")) box.checked = !state.hidden.has(Number(box.value));
  const notes = result?.notes ?? [];
  $("#notes").hidden = !notes.length;
  refill($("#notes"), notes, () => notes.map((note) => make("li", {}, note)));
}

/** @param {boolean} isResult @param {Metric[]} metrics */
function headOf(isResult, metrics) {
  const numbers = isResult ? ["Volume (ml)", "Confidence", ...metrics.map(({ heading }) => heading.replace(/(\d) mm/, "$1\u00a0mm"))] : [];
  return make(
    "tr",
    {},
    make("th", { scope: "col" }, make("span", { className: "for-readers" }, "Shown")),
    make("th", { scope: "col" }, "Organ"),
    ...numbers.map((text) => make("th", { scope: "col", className: "number" }, text)),
  );
}

/** @param {FoundOrgan} organ @param {Metric[]} metrics */
function foundRow(organ, metrics) {
  const flags = organ.flags.map((flag) => make("span", { className: "flag" }, flag));
  const cells = [millilitres(organ.volume_ml), confidenceOf(organ), ...metrics.map((metric) => metricOf(organ, metric))];
  return rowOf(organ, flags, cells);
}

/** @param {Organ} organ @param {Node[]} flags @param {(Node | string)[]} cells */
function rowOf(organ, flags = [], cells = []) {
  const name = words(organ.name);
  const box = make("input", {
    type: "checkbox",
    value: organ.value,
    "aria-label": `Show ${name}`,
    "data-focus": `show ${organ.value}`,
    onchange: () => set({ hidden: toggled(state.hidden, organ.value) }),
  });
  const go = make("button", {
    type: "button",
    className: "link",
    title: `Move the cross-hair into ${name}`,
    "data-focus": `go ${organ.value}`,
    onclick: () => goToOrgan(organ.value),
  }, swatch(organ.colour), name);
  return make(
    "tr",
    { "data-organ": organ.value },
    make("td", {}, box),
    make("th", { scope: "row" }, go, ...flags),
    ...cells.map((content) => make("td", { className: "number" }, content)),
  );
}

/** @param {FoundOrgan} organ */
function confidenceOf({ confidence }) {
  const bar = make("span", { className: "bar", "aria-hidden": "true" });
  bar.style.setProperty("--share", confidence);
  return make("span", { className: "confidence" }, bar, percent(confidence));
}

/** @param {FoundOrgan} organ @param {Metric} metric */
function metricOf({ metrics }, { name, digits }) {
  const value = metrics?.[name];
  return typeof value === "number" ? value.toFixed(digits) : "–";
}
