/**
 * What was learned from all scans: which one to correct next and why, the network, and the report.
 *
 * @typedef {import("./state.js").Job} Job
 * @typedef {import("./state.js").LearnedScan} LearnedScan
 */

import * as api from "./api.js";
import { $, make, refill } from "./dom.js";
import { downloadNetwork } from "./downloads.js";
import { plural } from "./format.js";
import { showJob } from "./jobs.js";
import { attempt, complain, say } from "./notices.js";
import { correctionOf, scanOf, shownJob, state, watch } from "./state.js";
import { goToOrganOf } from "./viewers.js";

const STYLE = /<style>(.*?)<\/style>/gs;

export function startLearned() {
  $("#correct-next").addEventListener("click", correctNext);
  $("#download-network").addEventListener("click", (/** @type {any} */ event) => {
    const job = shownJob();
    if (job) void attempt(() => downloadNetwork(job.id), event.currentTarget);
  });
  $("#open-report").addEventListener("click", () => {
    const job = shownJob();
    if (job) void openReport(job.id);
  });
  watch(["scans", "jobs", "query", "shownJob", "correcting"], render);
  render();
}

/** Scans that nobody has corrected, the one whose correction would help most first. @param {Job} job */
const toCorrect = (job) => (job.learned?.scans ?? []).filter(({ scan }) => scanOf(scan) && !correctionOf(scan));

/** The one after that in view. @param {Job} job @returns {LearnedScan | undefined} */
function nextOf(job) {
  const waiting = toCorrect(job);
  return waiting[(waiting.findIndex(({ scan }) => scan === state.query) + 1) % Math.max(waiting.length, 1)];
}

function render() {
  const job = shownJob();
  const learned = job?.learned;
  $("#learned-card").hidden = !learned;
  if (!job || !learned) return;
  $("#learned-title").textContent = `Learned from ${plural(learned.scans.length, "scan")}`;
  $("#learned-text").textContent = textOf(job);
  $("#correct-next").disabled = state.correcting || !nextOf(job) || nextOf(job)?.scan === state.query;
  $("#download-network").hidden = !learned.files.includes("weights.safetensors");
  $("#open-report").hidden = !learned.files.includes("report.html");
  const notes = [
    ...learned.notes,
    ...learned.left_out.map(({ scan, reason }) => `${scanOf(scan)?.name ?? scan} was left out: ${reason}`),
  ];
  $("#learned-notes").hidden = !notes.length;
  refill($("#learned-notes"), notes, () =>
    notes.map((note) => make("li", { className: note.startsWith("warning: ") ? "warning" : "" }, note)),
  );
}

/** @param {Job} job */
function textOf(job) {
  const waiting = toCorrect(job);
  if (!waiting.length) return "All scans are corrected.";
  const place = waiting.findIndex(({ scan }) => scan === state.query);
  const shown = waiting[place] ?? waiting[0];
  const name = scanOf(shown.scan)?.name;
  if (place < 0) return `Correcting ${name} would help most. ${shown.why}`;
  return `${name} is number ${place + 1} of ${waiting.length} to correct. ${shown.why}`;
}

/** Show the scan whose correction would help most, or the one after that in view. */
function correctNext() {
  const job = shownJob();
  const next = job && nextOf(job);
  if (!next) return;
  goToOrganOf(next.scan, next.least_sure);
  showJob(job.id, next.scan);
  say(`${scanOf(next.scan)?.name}: ${next.why}`);
}

/**
 * Open the report in a tab of its own. The page's policy allows no styles from elsewhere, so they are handed over as
 * objects; the report has no scripts.
 *
 * @param {string} job id
 */
async function openReport(job) {
  const tab = /** @type {(Window & typeof globalThis) | null} */ (open("", "_blank"));
  if (!tab) return complain("The browser has blocked the tab of the report; allow it and press again.");
  try {
    const text = new TextDecoder().decode(await api.jobFile(job, "report.html"));
    const styles = [...text.matchAll(STYLE)].map(([, rules]) => rules);
    const report = new DOMParser().parseFromString(text.replace(STYLE, ""), "text/html");
    const sheet = new tab.CSSStyleSheet();
    sheet.replaceSync(styles.join("\n"));
    tab.document.title = report.title;
    tab.document.adoptedStyleSheets = [sheet];
    tab.document.body.replaceChildren(...report.body.childNodes);
  } catch (error) {
    tab.close();
    complain(error);
  }
}
