/** Jobs, the newest first: how far each is, and the way to its result. */

import * as api from "./api.js";
import { $, keepRows, make } from "./dom.js";
import { clock, duration, plural } from "./format.js";
import { attempt, complain, say } from "./notices.js";
import { labelsOf, scanOf, set, state, titleOf, watch } from "./state.js";

const WORDS = { waiting: "Waiting", running: "Running", done: "Done", failed: "Failed", cancelled: "Cancelled" };
const OPEN = new Set(["waiting", "running"]);

export function startJobs() {
  watch(["jobs", "scans", "shownJob"], render);
  setInterval(() => [...state.jobs.values()].some(({ state: now }) => now === "running") && render(), 1000);
  render();
}

/** A job as the server now has it. */
export function putJob(job) {
  const before = state.jobs.get(job.id)?.state;
  // An answer may arrive after the event that overtook it: what is over stays over.
  if (before in WORDS && !OPEN.has(before) && OPEN.has(job.state)) return;
  set({ jobs: new Map(state.jobs).set(job.id, job) });
  if (before === job.state || !(before in WORDS) || OPEN.has(job.state)) return;
  say(`${nameOf(job)}: ${WORDS[job.state].toLowerCase()}.`);
  if (job.state === "failed") complain(`${nameOf(job)}: ${job.error}`);
  if (job.state === "done" && state.awaited === job.id) showJob(job.id);
}

export function dropJob(id) {
  const jobs = new Map(state.jobs);
  jobs.delete(id);
  set({ jobs, shownJob: state.shownJob === id ? null : state.shownJob });
}

/** All jobs there are; those that went while nobody listened are gone. */
export async function refreshJobs() {
  const jobs = new Map((await api.jobs()).map((job) => [job.id, job]));
  set({ jobs, shownJob: jobs.has(state.shownJob) ? state.shownJob : null });
  if (jobs.get(state.awaited)?.state === "done") showJob(state.awaited);
}

/** Bring a job's result into view. */
export function showJob(id) {
  if (state.correcting) return say("Finish or leave the correction first.");
  const { query, supports, reference } = state.jobs.get(id);
  set({ shownJob: id, mask: "result", awaited: null });
  // The list and the next job are of what is in view, as far as it is still there.
  if (scanOf(query)) set({ query, supports: supports.filter(labelsOf), reference });
}

const nameOf = (job) => scanOf(job.query)?.name ?? "a removed scan";

function render() {
  const jobs = [...state.jobs.values()].sort((a, b) => b.created.localeCompare(a.created));
  $("#no-jobs").hidden = jobs.length > 0;
  $("#jobs-count").textContent = jobs.length || "";
  keepRows($("#jobs"), jobs, (job) => job.id, makeRow);
}

function makeRow({ id }) {
  const name = make("strong");
  const facts = make("small");
  const show = make("button", { type: "button", className: "job-show", onclick: () => showJob(id) }, name, facts);
  const bar = make("progress", { max: 1, "aria-label": "Progress" });
  const error = make("p", { className: "job-error" });
  const cancel = make("button", {
    type: "button",
    className: "quiet",
    onclick: (event) => attempt(async () => putJob(await api.cancelJob(id)), event.currentTarget),
  }, "Cancel");
  const remove = make("button", {
    type: "button",
    className: "quiet",
    onclick: (event) => attempt(async () => (await api.removeJob(id), dropJob(id)), event.currentTarget),
  }, "Remove");
  const line = make("div", { className: "job-line" }, show, cancel, remove);
  const node = make("li", { className: "job", "data-job": id }, line, bar, error);

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
    error.textContent = job.error ?? "";
    error.hidden = !job.error;
    cancel.hidden = !isOpen;
    cancel.setAttribute("aria-label", `Cancel segmenting ${nameOf(job)}`);
    remove.hidden = isOpen;
    remove.setAttribute("aria-label", `Remove the job of ${nameOf(job)}`);
  }
  return { node, update };
}

function factsOf(job) {
  const facts = [clock(job.created), WORDS[job.state]];
  if (job.state === "running") facts.push(`${Math.round(100 * job.progress)} %`, job.stage);
  if (job.started && job.state !== "cancelled") {
    facts.push(duration((new Date(job.finished ?? Date.now()) - new Date(job.started)) / 1000));
  }
  facts.push(`from ${job.supports.length < 3 ? job.supports.map((id) => titleOf(labelsOf(id))).join(" and ") : plural(job.supports.length, "scan")}`);
  return facts.filter(Boolean).join(" · ");
}
