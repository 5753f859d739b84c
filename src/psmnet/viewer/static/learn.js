/**
 * Learn from all scans: what is missing for it, and the button that starts it.
 *
 * @typedef {import("./state.js").LabelSet} LabelSet
 */

import * as api from "./api.js";
import { $ } from "./dom.js";
import { plural } from "./format.js";
import { putJob } from "./jobs.js";
import { attempt, say } from "./notices.js";
import { labelsOf, organsOf, set, state, watch } from "./state.js";

/** The server learns from no fewer scans without labels. */
const FEWEST = 4;

export function startLearn() {
  $("#learn").addEventListener("click", (/** @type {any} */ event) => attempt(learn, event.currentTarget).then(render));
  watch(["scans", "jobs", "supports", "leftOut"], render);
  render();
}

function render() {
  const missing = whatIsMissing();
  $("#learn-text").textContent = missing ?? whatWillBeDone();
  $("#learn").disabled = Boolean(missing);
}

const unlabelled = () => state.scans.filter((scan) => !scan.labels.length);

/** The selected label sets, of each scan the one that was selected last. @returns {LabelSet[]} */
function supports() {
  const selected = state.supports.flatMap((id) => labelsOf(id) ?? []);
  return [...new Map(selected.map((labels) => [labels.scan, labels])).values()];
}

/** @returns {string | null} what the user has to do before a learning can start */
function whatIsMissing() {
  const count = unlabelled().length;
  const open = [...state.jobs.values()].some((job) => job.kind === "learn" && ["waiting", "running"].includes(job.state));
  if (open) return "The scans are being learned from; see Jobs.";
  if (!state.scans.some((scan) => scan.labels.length)) return "To learn from all scans, add the labels of one of them.";
  if (count < FEWEST) {
    return `To learn from all scans, add ${FEWEST - count} more without labels: ${FEWEST} are needed, and there ${count === 1 ? "is" : "are"} ${count}.`;
  }
  if (!supports().length) return "To learn from all scans, tick the labels to learn from.";
  if (wanted().length === 0) return "To learn from all scans, tick an organ.";
  return null;
}

function whatWillBeDone() {
  const labelled = plural(supports().length, "labelled scan");
  return `Or train a network on ${labelled} and the ${unlabelled().length} without labels, in minutes: each of these gets a mask, as a rule a better one.`;
}

/** Label values of the organs to learn. */
const wanted = () => organsOf(state.supports).map((organ) => organ.value).filter((value) => !state.leftOut.has(value));

async function learn() {
  const labelSets = supports().map((labels) => labels.id);
  /** @type {import("./api.js").LearnRequest} */
  const request = { supports: labelSets, scans: unlabelled().map((scan) => scan.id) };
  const values = new Set(organsOf(labelSets).map((organ) => organ.value));
  const organs = wanted().filter((value) => values.has(value));
  if (organs.length < values.size) request.organs = organs;
  const started = await api.addLearning(request);
  putJob(started);
  set({ awaited: started.id });
  say(`Learning from ${plural(started.scans.length, "scan")} …`);
}
