/**
 * The list of scans: which is the query, and which label sets are supports.
 *
 * @typedef {import("./state.js").Scan} Scan
 * @typedef {import("./state.js").LabelSet} LabelSet
 */

import * as api from "./api.js";
import { $, keepRows, make, refill, reveal, swatch } from "./dom.js";
import { downloadLabels } from "./downloads.js";
import { percent, plural, size, spacing, words } from "./format.js";
import { takeIn, takeInLabels } from "./intake.js";
import { attempt, say } from "./notices.js";
import { correctionOf, dropLostChoices, learningOf, putScan, set, state, watch } from "./state.js";

/** The query and the newest scan that were last scrolled into view. @type {Record<"query" | "newest", string | null>} */
const revealed = { query: null, newest: null };

const FILES = ".nii,.gz,.nrrd,.mha,.zip,.dcm";

export function startScans() {
  const files = $("#files");
  files.addEventListener("change", async () => {
    await takeIn([...files.files]);
    files.value = "";
  });
  $("#sample").addEventListener("click", (/** @type {any} */ event) => attempt(loadSamples, event.currentTarget));
  watch(["scans", "jobs", "query", "supports", "newest"], render);
  render();
}

/** Ask the server what scans there are. */
export async function refreshScans() {
  set({ scans: await api.scans() });
  dropLostChoices();
  if (!state.supports.length && !state.query) set(firstChoice(state.scans));
}

/**
 * The choices to begin with: the first labelled scan as support, the next scan as query. Only a sample's labels are
 * known to be the truth, so only they become the reference.
 *
 * @param {Scan[]} scans
 * @returns {Partial<import("./state.js").State>}
 */
function firstChoice(scans) {
  const support = scans.find((scan) => scan.labels.length);
  if (!support) return {};
  const query = scans.find((scan) => scan !== support);
  const reference = query?.sample ? query.labels.at(0) : null;
  const byHand = { supportsByHand: false, queryByHand: false };
  return { supports: [support.labels[0].id], query: query?.id ?? null, reference: reference?.id ?? null, ...byHand };
}

async function loadSamples() {
  say("Drawing three synthetic patients …");
  const samples = await api.addSamples();
  samples.forEach(putScan);
  set({ ...firstChoice(samples), shownJob: null, mask: "" });
  say(`Press Segment to segment ${samples[1].name} from the labels of ${samples[0].name}.`);
}

function render() {
  $("#no-scans").hidden = state.scans.length > 0;
  $("#scans-count").textContent = state.scans.length || "";
  keepRows($("#scans"), state.scans, (scan) => scan.id, makeRow);
  for (const key of /** @type {const} */ (["query", "newest"])) {
    if (state[key] === revealed[key]) continue;
    revealed[key] = state[key];
    const row = $(`[data-scan="${state[key]}"]`);
    if (row) reveal($("#scans"), row);
  }
}

/** @param {Scan} scan */
function makeRow({ id }) {
  const node = make("li", { className: "scan", "data-scan": id });
  /** @param {Scan} scan */
  const update = (scan) => {
    const mark = learnedMark(id);
    refill(node, [scan, mark], () => partsOf(scan, mark));
    node.classList.toggle("chosen", state.query === id);
    $("[type=radio]", node).checked = state.query === id;
    for (const box of node.querySelectorAll("[type=checkbox]")) box.checked = state.supports.includes(box.value);
  };
  return { node, update };
}

/**
 * How sure the learned mask of a scan is, by its least sure organ.
 *
 * @param {string} scan id
 */
function learnedMark(scan) {
  const found = learningOf(scan)?.learned?.scans.find((one) => one.scan === scan);
  if (!found) return null;
  const flags = [...new Set(found.organs.flatMap((organ) => organ.flags))];
  return { confidence: Math.min(...found.organs.map((organ) => organ.confidence)), flags };
}

/** @param {{confidence: number, flags: string[]}} mark */
function markOf({ confidence, flags }) {
  const bar = make("span", { className: "bar", "aria-hidden": "true" });
  bar.style.setProperty("--share", confidence);
  const sure = make("span", { className: "confidence" }, "Learned mask", bar, percent(confidence));
  return make("small", { className: "learned", title: "Confidence of the least sure organ" }, sure,
    ...flags.map((flag) => make("span", { className: "flag" }, flag)));
}

/** @param {Scan} scan @param {{confidence: number, flags: string[]} | null} mark */
function partsOf(scan, mark) {
  const facts = [size(scan), spacing(scan), scan.modality].filter(Boolean).join(" · ");
  const head = make("div", { className: "scan-head" }, choiceOf(scan), toolsOf(scan));
  const notes = scan.notes.map((note) => make("small", { className: "note" }, note));
  const line = make("small", { className: "facts", title: keptUntil(scan) }, facts);
  return [head, line, mark && markOf(mark), ...notes, ...scan.labels.flatMap(labelSetOf)].filter((part) => part !== null);
}

/** @param {Scan} scan */
const keptUntil = ({ expires }) => (expires ? `Deleted on ${new Date(expires).toLocaleString()}` : "");

/** @param {Scan} scan */
function choiceOf(scan) {
  const radio = make("input", {
    type: "radio",
    name: "query",
    "data-testid": `query-${scan.id}`,
    "data-focus": "query",
    onchange: () => chooseQuery(scan.id),
  });
  return make("label", { className: "choice", title: "Segment this scan" }, radio, make("strong", {}, scan.name));
}

/** @param {LabelSet} labels */
function labelSetOf(labels) {
  const box = make("input", {
    type: "checkbox",
    value: labels.id,
    "data-testid": `support-${labels.id}`,
    "data-focus": `support ${labels.id}`,
    onchange: (/** @type {any} */ event) => chooseSupport(labels.id, event.currentTarget.checked),
  });
  const facts = [plural(labels.organs.length, "organ"), labels.origin === "corrected" && "corrected"].filter(Boolean);
  const colours = labels.organs.slice(0, 8).map((organ) => swatch(organ.colour));
  const row = make(
    "div",
    { className: "label-set", "data-labels": labels.id },
    make(
      "label",
      { className: "choice", title: labels.organs.map((organ) => words(organ.name)).join(", ") },
      box,
      make("span", {}, labels.name, make("small", {}, ...colours, facts.join(" · "))),
    ),
    make("button", {
      type: "button",
      className: "quiet",
      title: `Download ${labels.name}`,
      "aria-label": `Download ${labels.name}`,
      "data-focus": `download ${labels.id}`,
      onclick: (/** @type {any} */ event) => attempt(() => downloadLabels(labels), event.currentTarget),
    }, "↓"),
    removal(`Delete the labels ${labels.name}`, `remove ${labels.id}`, () => api.removeLabels(labels.id)),
  );
  return [row, ...labels.notes.map((note) => make("small", { className: "note" }, note))];
}

/** @param {Scan} scan */
function toolsOf(scan) {
  const input = make("input", {
    type: "file",
    accept: FILES,
    className: "hidden-input",
    "data-focus": "labels",
    "aria-label": `Add labels to ${scan.name}`,
    onchange: () => takeInLabels(scan.id, input.files[0]),
  });
  return make(
    "div",
    { className: "tools" },
    make("label", { className: "button quiet", title: `Add labels to ${scan.name}` }, input, "+ labels"),
    removal(`Delete the scan ${scan.name} and its labels`, "remove", () => api.removeScan(scan.id)),
  );
}

/** @param {string} label @param {string} focus @param {() => Promise<unknown>} act */
function removal(label, focus, act) {
  /** @param {any} event */
  const ask = async (event) => {
    if (!confirm(`${label}?`)) return;
    await attempt(act, event.currentTarget);
    await attempt(refreshScans);
  };
  return make("button", {
    type: "button",
    className: "quiet",
    title: label,
    "aria-label": label,
    "data-focus": focus,
    onclick: ask,
  }, "×");
}

/**
 * Take a scan as the query, and show what was learned of it. Its other results can be shown from the list of jobs.
 *
 * @param {string} id
 */
function chooseQuery(id) {
  const learning = learningOf(id)?.id ?? null;
  const mask = learning ? (correctionOf(id)?.id ?? "result") : "";
  set({ query: id, queryByHand: true, reference: null, shownJob: learning, mask });
}

/** @param {string} id @param {boolean} chosen */
function chooseSupport(id, chosen) {
  const supports = chosen ? [...state.supports, id] : state.supports.filter((other) => other !== id);
  set({ supports, supportsByHand: true, shownSupport: chosen ? id : state.shownSupport, shownJob: null });
}
