/** The organs in view: their colours, what was found of them, and whether they are drawn. */

import * as api from "./api.js";
import { $, inputs, make, refill, swatch } from "./dom.js";
import { millilitres, percent, words } from "./format.js";
import { organsOf, resultInView, set, state, supportsInView, toggled, watch } from "./state.js";
import { goToOrgan } from "./viewers.js";

/**
 * @typedef {import("./state.js").Organ} Organ
 * @typedef {import("./state.js").FoundOrgan} FoundOrgan
 * @typedef {import("./state.js").Metric} Metric
 */

/** @type {Metric[]} in the order of their columns */
let known = [];

export function startOrgans() {
  watch(["scans", "jobs", "supports", "query", "shownJob", "hidden"], render);
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
  const result = resultInView();
  const found = result?.organs ?? [];
  const first = result?.first ?? [];
  const organs = result ? found : organsOf(supportsInView());
  const metrics = known.filter(({ name }) => found.some((organ) => typeof organ.metrics?.[name] === "number"));
  $("#organs-card").hidden = !organs.length;
  $("#organs-title").textContent = result ? `Organs of the ${result.first ? "learned mask" : "result"}` : "Organs";
  $("#all-organs").hidden = !state.hidden.size;
  const headings = result ? headingsOf(metrics, Boolean(result.first)) : [];
  refill($("#organs thead"), headings, () => [headOf(headings)]);
  const rows = () =>
    result
      ? found.map((organ) => foundRow(organ, metrics, first.find(({ value }) => value === organ.value)))
      : organs.map((organ) => rowOf(organ));
  refill($("#organs tbody"), [Boolean(result), organs, metrics, first], rows);
  for (const box of inputs("#organs input")) box.checked = !state.hidden.has(Number(box.value));
  const notes = result?.notes ?? [];
  $("#notes").hidden = !notes.length;
  refill($("#notes"), notes, () => notes.map((note) => make("li", {}, note)));
}

/** @param {Metric[]} metrics @param {boolean} hasFirst whether there are first masks to compare with */
function headingsOf(metrics, hasFirst) {
  const measured = metrics.map(({ heading }) => heading.replace(/(\d) mm/, "$1\u00a0mm"));
  const first = hasFirst ? ["First mask (ml)", "First confidence"] : [];
  return ["Volume (ml)", "Confidence", ...first, ...measured];
}

/** @param {string[]} numbers headings of the columns with numbers */
function headOf(numbers) {
  return make(
    "tr",
    {},
    make("th", { scope: "col" }, make("span", { className: "for-readers" }, "Shown")),
    make("th", { scope: "col" }, "Organ"),
    ...numbers.map((text) => make("th", { scope: "col", className: "number" }, text)),
  );
}

/** @param {FoundOrgan} organ @param {Metric[]} metrics @param {FoundOrgan | undefined} first the same of the first mask */
function foundRow(organ, metrics, first) {
  const flags = organ.flags.map((flag) => make("span", { className: "flag" }, flag));
  const figures = [organ, ...(first ? [first] : [])].flatMap((one) => [millilitres(one.volume_ml), confidenceOf(one)]);
  return rowOf(organ, flags, [...figures, ...metrics.map((metric) => metricOf(organ, metric))]);
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
