/**
 * Jobs, the newest first: their progress and their results.
 *
 * @typedef {import("./state.js").Job} Job
 */

import * as api from "./api.js";
import { $, keepRows, make, refill } from "./dom.js";
import { about, clock, duration, plural } from "./format.js";
import { attempt, complain, say } from "./notices.js";
import { correctionOf, jobOf, labelsOf, learningOf, scanOf, set, state, titleOf, watch } from "./state.js";

const WORDS = { waiting: "Waiting", running: "Running", done: "Done", failed: "Failed", cancelled: "Cancelled" };
const OPEN = new Set(["waiting", "running"]);

export function startJobs() {
  watch(["jobs", "scans", "shownJob"], render);
  setInterval(() => [...state.jobs.values()].some(({ state: now }) => now === "running") && render(), 1000);
  render();
}

/** Note a job as the server now has it. @param {Job} job */
export function putJob(job) {
  const before = jobOf(job.id)?.state;
  // An answer may arrive after an event that is newer: a job that has ended stays so.
  if (before && !OPEN.has(before) && OPEN.has(job.state)) return;
  set({ jobs: new Map(state.jobs).set(job.id, job) });
  if (!before || before === job.state || OPEN.has(job.state)) return;
  say(`${nameOf(job)}: ${WORDS[job.state].toLowerCase()}.`);
  if (job.state === "failed") complain(`${nameOf(job)}: ${job.error}`);
  if (job.state === "done" && state.awaited === job.id) showJob(job.id);
}

/** Forget a job. @param {string} id */
export function dropJob(id) {
  const jobs = new Map(state.jobs);
  jobs.delete(id);
  set({ jobs, shownJob: state.shownJob === id ? null : state.shownJob });
}

/** Load all jobs: some may have been deleted while the page was not connected. */
export async function refreshJobs() {
  const jobs = new Map((await api.jobs()).map((job) => [job.id, job]));
  set({ jobs, shownJob: jobs.has(state.shownJob ?? "") ? state.shownJob : null });
  if (state.awaited && jobs.get(state.awaited)?.state === "done") showJob(state.awaited);
  // A page that has just been opened shows what was learned of its scan.
  const learning = learningOf(state.query);
  if (learning && !state.shownJob && !state.awaited && !state.queryByHand && !state.correcting) showJob(learning.id);
}

/**
 * Show a job's result.
 *
 * @param {string} id
 * @param {string | null} scan of a learning; the one in view by default, or the first to correct
 */
export function showJob(id, scan = state.query) {
  if (state.correcting) return say("Finish or cancel the correction first.");
  const job = jobOf(id);
  if (!job) return;
  if (job.learned) {
    const learned = job.learned.scans.find((one) => one.scan === scan) ?? job.learned.scans[0];
    const supports = state.supports.length ? state.supports : job.supports.filter(labelsOf);
    const query = learned?.scan ?? null;
    set({ shownJob: id, query, mask: correctionOf(query)?.id ?? "result", shownSupport: "first", awaited: null, supports });
    return;
  }
  const { query, supports, reference } = job;
  set({ shownJob: id, mask: "result", awaited: null });
  // What is in view is selected for the next job, too, as far as it still exists.
  if (scanOf(query)) set({ query, supports: supports.filter(labelsOf), reference });
}

/** @param {Job} job */
const nameOf = (job) =>
  job.kind === "learn" ? `Learning from ${plural(job.scans.length, "scan")}` : (scanOf(job.query)?.name ?? "a deleted scan");

function render() {
  const jobs = [...state.jobs.values()].sort((a, b) => b.created.localeCompare(a.created));
  $("#no-jobs").hidden = jobs.length > 0;
  $("#jobs-count").textContent = jobs.length || "";
  keepRows($("#jobs"), jobs, (job) => job.id, makeRow);
}

/** @param {Job} job */
function makeRow({ id }) {
  const name = make("strong");
  const facts = make("small");
  const show = make("button", { type: "button", className: "job-show", onclick: () => showJob(id) }, name, facts);
  const bar = make("progress", { max: 1, "aria-label": "Progress" });
  const error = make("p", { className: "job-error" });
  const cancel = make("button", {
    type: "button",
    className: "quiet",
    onclick: (/** @type {any} */ event) => attempt(async () => putJob(await api.cancelJob(id)), event.currentTarget),
  }, "Cancel");
  const remove = make("button", {
    type: "button",
    className: "quiet",
    onclick: (/** @type {any} */ event) => attempt(async () => (await api.removeJob(id), dropJob(id)), event.currentTarget),
  }, "Delete");
  const line = make("div", { className: "job-line" }, show, cancel, remove);
  const stages = make("ol", { className: "stages", hidden: true });
  const node = make("li", { className: "job", "data-job": id }, line, bar, stages, error);

  /** @param {Job} job */
  function update(job) {
    const isOpen = OPEN.has(job.state);
    node.dataset.state = job.state;
    node.classList.toggle("chosen", state.shownJob === id);
    name.textContent = nameOf(job);
    facts.textContent = factsOf(job);
    show.disabled = job.state !== "done";
    if (state.shownJob === id) show.setAttribute("aria-current", "true");
    else show.removeAttribute("aria-current");
    bar.hidden = !isOpen;
    if (job.state === "running") bar.value = job.progress;
    const isNew = stages.hidden && job.stages.length > 0;
    stages.hidden = !job.stages.length;
    refill(stages, [job.stages, job.left_s], () => stagesOf(job));
    if (isNew && state.awaited === id) node.scrollIntoView({ block: "nearest" });
    error.textContent = job.error ?? "";
    error.hidden = !job.error;
    cancel.hidden = !isOpen;
    cancel.setAttribute("aria-label", job.kind === "learn" ? `Cancel ${nameOf(job)}` : `Cancel segmenting ${nameOf(job)}`);
    remove.hidden = isOpen;
    remove.setAttribute("aria-label", `Delete the job of ${nameOf(job)}`);
  }
  return { node, update };
}

/** Each stage of a learning: done, how far it is and how long it still takes, or to come. @param {Job} job */
function stagesOf({ stages, left_s: left }) {
  const now = stages.findLastIndex(({ total }) => total > 0);
  return stages.map(({ name, done, total }, place) => {
    const isNow = place === now && done < total;
    const facts = [name, total > 0 && `${done} of ${total}`, isNow && left !== null && `${about(left)} left`];
    const text = facts.filter(Boolean).join(" · ");
    const kind = isNow ? "now" : done && done === total ? "done" : "to come";
    return make("li", { "data-stage": kind, "aria-current": isNow && "step" }, text);
  });
}

/** @param {Job} job */
function factsOf(job) {
  const facts = [clock(job.created), WORDS[job.state]];
  if (job.state === "running") facts.push(`${Math.round(100 * job.progress)} %`, job.stages.length ? "" : job.stage);
  if (job.started && job.state !== "cancelled") {
    const end = job.finished ? Date.parse(job.finished) : Date.now();
    facts.push(duration((end - Date.parse(job.started)) / 1000));
  }
  const titles = job.supports.map((id) => titleOf(labelsOf(id)));
  facts.push(`from ${titles.length < 3 ? titles.join(" and ") : plural(titles.length, "scan")}`);
  return facts.filter(Boolean).join(" · ");
}
