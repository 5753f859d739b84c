/**
 * What the page knows and what is chosen. Values are replaced, never changed in place, so that every change is noticed.
 *
 * @typedef {{value: number, name: string, colour: string}} Organ
 * @typedef {{id: string, scan: string, name: string, origin: string, organs: Organ[], notes: string[],
 *   created: string}} LabelSet
 * @typedef {{id: string, name: string, size: number[], spacing_mm: number[], modality: string, sample: boolean,
 *   created: string, expires: string | null, notes: string[], labels: LabelSet[]}} Scan
 * @typedef {{name: string, heading: string, meaning: string, digits: number}} Metric
 * @typedef {Organ & {volume_ml: number, confidence: number, flags: string[],
 *   metrics: Record<string, number | null> | null}} FoundOrgan
 * @typedef {{organs: FoundOrgan[], notes: string[], seconds: number, files: string[]}} Result
 * @typedef {{scan: string, organs: FoundOrgan[], first: FoundOrgan[], least_sure: number, why: string,
 *   notes: string[], files: string[]}} LearnedScan
 * @typedef {{scans: LearnedScan[], left_out: {scan: string, reason: string}[], notes: string[],
 *   files: string[]}} Learned
 * @typedef {"waiting" | "running" | "done" | "failed" | "cancelled"} JobState
 * @typedef {{id: string, kind: "segment" | "learn", state: JobState, supports: string[], query: string | null,
 *   reference: string | null, scans: string[], organs: number[] | null, created: string, started: string | null,
 *   finished: string | null, progress: number, stage: string, stages: {name: string, done: number, total: number}[],
 *   left_s: number | null, error: string | null, result: Result | null, learned: Learned | null}} Job
 * @typedef {{job: string, scan: string, organs: FoundOrgan[], first: FoundOrgan[] | null, notes: string[],
 *   files: string[]}} Found what a job found in one scan; `first` is that of a learning's first masks
 * @typedef {typeof state} State
 */

const KEPT = "psmnet-choice";
/** @type {(keyof State)[]} */
const CHOICES = [
  "supports",
  "supportsByHand",
  "query",
  "queryByHand",
  "reference",
  "shownJob",
  "shownSupport",
  "mask",
  "awaited",
];

/** What the page begins with. */
export const initial = () => ({
  /** @type {Scan[]} */ scans: [],
  /** @type {Map<string, Job>} */ jobs: new Map(),
  /** Label sets to learn from, by id. @type {string[]} */ supports: [],
  /** Whether the user has ticked or unticked one; else files that are added take their place. */ supportsByHand: false,
  /** @type {string | null} */ query: null,
  /** Whether the user has chosen it for the next job; else a scan that is added takes its place. */ queryByHand: false,
  /** @type {string | null} */ reference: null,
  /** The scan that was added last, to be scrolled into view. @type {string | null} */ newest: null,
  /** Label values left out of the next job. @type {Set<number>} */ leftOut: new Set(),
  /** The job whose result is looked at. @type {string | null} */ shownJob: null,
  /** What is looked at on the left: a label set, or "first", a first mask. @type {string | null} */ shownSupport: null,
  /** What is drawn over the query: "result", "first", "" or a label set. @type {string} */ mask: "result",
  /** Label values that are not drawn. @type {Set<number>} */ hidden: new Set(),
  /** The job whose result is to be shown as soon as it is there. @type {string | null} */ awaited: null,
  correcting: false,
  /** @type {keyof typeof import("./niivue.js").VIEWS} */ view: "multi",
  /** @type {keyof typeof import("./windows.js").WINDOWS} */ window: "auto",
  opacity: 0.5,
  outline: false,
  uncertainty: false,
  linked: true,
});

export const state = initial();

/** @type {{keys: (keyof State)[], react: () => void}[]} */
const watchers = [];
/** @type {Set<keyof State>} */
let changed = new Set();

/**
 * Call `react` after changes of one of the keys, once for all changes of a moment.
 *
 * @param {(keyof State)[]} keys
 * @param {() => void} react
 */
export function watch(keys, react) {
  watchers.push({ keys, react });
}

/** @param {Partial<State>} changes */
export function set(changes) {
  if (!changed.size) queueMicrotask(notify);
  for (const key of /** @type {(keyof State)[]} */ (Object.keys(changes))) {
    if (state[key] === changes[key]) continue;
    Object.assign(state, { [key]: changes[key] });
    changed.add(key);
  }
}

function notify() {
  const keys = changed;
  changed = new Set();
  if (!keys.size) return;
  if (CHOICES.some((key) => keys.has(key))) keepChoices();
  for (const watcher of watchers) {
    if (watcher.keys.some((key) => keys.has(key))) watcher.react();
  }
}

function keepChoices() {
  const choices = Object.fromEntries(CHOICES.map((key) => [key, state[key]]));
  sessionStorage.setItem(KEPT, JSON.stringify(choices));
}

/** What was chosen before the page was reloaded. */
export function recallChoices() {
  const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "{}");
  set(Object.fromEntries(CHOICES.filter((key) => key in kept).map((key) => [key, kept[key]])));
}

/** @param {string | null | undefined} id @returns {Scan | undefined} */
export const scanOf = (id) => state.scans.find((scan) => scan.id === id);

/** @param {string | null | undefined} id @returns {LabelSet | undefined} */
export const labelsOf = (id) => state.scans.flatMap((scan) => scan.labels).find((labels) => labels.id === id);

/**
 * A label set by its scan's name, which is what people know it by, with its own name where the scan has several.
 *
 * @param {LabelSet | undefined} labels
 */
export function titleOf(labels) {
  const scan = scanOf(labels?.scan);
  if (!labels || !scan) return "a deleted scan";
  return scan.labels.length > 1 ? `${scan.name} · ${labels.name}` : scan.name;
}

/** A text with names in place of the ids in it, as far as they are known here. @param {string} text */
export const withNames = (text) =>
  text.replace(/\b[0-9a-f]{16}\b/g, (id) => {
    const labels = labelsOf(id);
    return (scanOf(id) ?? scanOf(jobOf(id)?.query))?.name ?? (labels ? titleOf(labels) : id);
  });

/** @returns {Job | undefined} */
export const shownJob = () => jobOf(state.shownJob);

/** @param {string | null | undefined} id @returns {Job | undefined} */
export const jobOf = (id) => state.jobs.get(id ?? "");

/** The label sets on the left, by id: those of the job that is shown, else those chosen for the next one. */
export const supportsInView = () => (shownJob()?.supports ?? state.supports).filter(labelsOf);

/** What the job in view found in the scan in view. @returns {Found | null} */
export function resultInView() {
  const job = shownJob();
  if (job?.result && job.query) return { ...job.result, job: job.id, scan: job.query, first: null };
  const learned = job?.learned?.scans.find(({ scan }) => scan === state.query);
  return job && learned ? { ...learned, job: job.id } : null;
}

/** The newest learning that has a mask of a scan. @param {string | null} scan id @returns {Job | undefined} */
export function learningOf(scan) {
  const jobs = [...state.jobs.values()].filter(({ learned }) => learned?.scans.some((one) => one.scan === scan));
  return jobs.sort((a, b) => b.created.localeCompare(a.created))[0];
}

/** The newest mask of a scan that a person has corrected. @param {string | null} scan id */
export const correctionOf = (scan) => scanOf(scan)?.labels.findLast(({ origin }) => origin === "corrected");

/** The scan on the right, by id. */
export const queryInView = () => shownJob()?.query ?? state.query;

/** Organs of some label sets, each once. @param {string[]} labelSets ids @returns {Organ[]} */
export function organsOf(labelSets) {
  const organs = labelSets.flatMap((id) => labelsOf(id)?.organs ?? []);
  const byValue = new Map(organs.reverse().map((organ) => [organ.value, organ]));
  return [...byValue.values()].sort((a, b) => a.value - b.value);
}

/**
 * A set with a value added, or removed if it was there.
 *
 * @template T
 * @param {Set<T>} values
 * @param {T} value
 */
export function toggled(values, value) {
  const others = new Set(values);
  if (!others.delete(value)) others.add(value);
  return others;
}

/** Note a scan as the server now has it, in its place in the list. @param {Scan} scan */
export function putScan(scan) {
  const known = state.scans.some((other) => other.id === scan.id);
  set({ scans: known ? state.scans.map((other) => (other.id === scan.id ? scan : other)) : [...state.scans, scan] });
}

/** Drop choices of what no longer exists: scans expire, and other windows may have deleted them. */
export function dropLostChoices() {
  const supports = state.supports.filter(labelsOf);
  const query = scanOf(state.query) ? state.query : null;
  const reference = scanOf(query)?.labels.some((labels) => labels.id === state.reference) ? state.reference : null;
  set({ query, reference, queryByHand: state.queryByHand && query !== null });
  if (supports.length !== state.supports.length) set({ supports });
  if (!supports.length) set({ supportsByHand: false });
}
