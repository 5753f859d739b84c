/**
 * What the page knows and what is chosen. Values are replaced, never altered in place: whoever watches a key can rely
 * on being told.
 *
 * @typedef {{value: number, name: string, colour: string}} Organ
 * @typedef {{id: string, scan: string, name: string, origin: string, organs: Organ[], created: string}} LabelSet
 * @typedef {{id: string, name: string, size: number[], spacing_mm: number[], modality: string, sample: boolean,
 *   created: string, expires: ?string, labels: LabelSet[]}} Scan
 * @typedef {Organ & {volume_ml: number, confidence: number, flags: string[], metrics: ?Object<string, number>}} Found
 * @typedef {{organs: Found[], notes: string[], seconds: number, files: string[]}} Result
 * @typedef {{id: string, state: string, supports: string[], query: string, reference: ?string, organs: ?number[],
 *   created: string, started: ?string, finished: ?string, progress: number, stage: string, error: ?string,
 *   result: ?Result}} Job
 */

const KEPT = "psmnet-choice";
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

export const state = {
  /** @type {Scan[]} */ scans: [],
  /** @type {Map<string, Job>} */ jobs: new Map(),
  /** Label sets to learn from, by id. @type {string[]} */ supports: [],
  /** Whether the user has ticked or unticked one; else files that are added take their place. */ supportsByHand: false,
  /** @type {?string} */ query: null,
  /** Whether the user has chosen it for the next job; else a scan that is added takes its place. */ queryByHand: false,
  /** @type {?string} */ reference: null,
  /** The scan that was added last, to be scrolled into view. @type {?string} */ newest: null,
  /** Label values left out of the next job. @type {Set<number>} */ leftOut: new Set(),
  /** The job whose result is looked at. @type {?string} */ shownJob: null,
  /** The label set looked at on the left. @type {?string} */ shownSupport: null,
  /** What lies over the query: "result", "" or a label set. @type {string} */ mask: "result",
  /** Label values that are not drawn. @type {Set<number>} */ hidden: new Set(),
  /** The job whose result is to be shown as soon as it is there. @type {?string} */ awaited: null,
  correcting: false,
  view: "multi",
  window: "auto",
  opacity: 0.5,
  outline: false,
  uncertainty: false,
  linked: true,
};

const watchers = [];
let changed = new Set();

/** Call `react` whenever one of the keys has changed: once for all changes of a moment. */
export function watch(keys, react) {
  watchers.push({ keys, react });
}

/** @param {Partial<typeof state>} changes */
export function set(changes) {
  if (!changed.size) queueMicrotask(tell);
  for (const [key, value] of Object.entries(changes)) {
    if (state[key] === value) continue;
    state[key] = value;
    changed.add(key);
  }
}

function tell() {
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

/** @returns {Scan | undefined} */
export const scanOf = (id) => state.scans.find((scan) => scan.id === id);

/** @returns {LabelSet | undefined} */
export const labelsOf = (id) => state.scans.flatMap((scan) => scan.labels).find((labels) => labels.id === id);

/** A label set by its scan's name, which is what people know it by; several of a scan are told apart. */
export function titleOf(labels) {
  const scan = scanOf(labels?.scan);
  if (!scan) return "a removed scan";
  return scan.labels.length > 1 ? `${scan.name} · ${labels.name}` : scan.name;
}

/** A text with names in place of the ids in it, as far as they are known here. @param {string} text */
export const withNames = (text) =>
  text.replace(/\b[0-9a-f]{16}\b/g, (id) => {
    const labels = labelsOf(id);
    return (scanOf(id) ?? scanOf(state.jobs.get(id)?.query))?.name ?? (labels ? titleOf(labels) : id);
  });

/** @returns {Job | undefined} */
export const shownJob = () => state.jobs.get(state.shownJob);

/** The label sets on the left: those that served the job looked at, else those chosen for the next. */
export const supportsInView = () => (shownJob()?.supports ?? state.supports).filter(labelsOf);

/** The scan on the right, by id. */
export const queryInView = () => shownJob()?.query ?? state.query;

/** Organs of some label sets, each once. @returns {Organ[]} */
export function organsOf(labelSets) {
  const organs = labelSets.flatMap((id) => labelsOf(id)?.organs ?? []);
  const byValue = new Map(organs.reverse().map((organ) => [organ.value, organ]));
  return [...byValue.values()].sort((a, b) => a.value - b.value);
}

/** A set with a value in it or out of it, the other way round. */
export function toggled(values, value) {
  const others = new Set(values);
  if (!others.delete(value)) others.add(value);
  return others;
}

/** A scan as the server now has it, in its place in the list. */
export function putScan(scan) {
  const known = state.scans.some((other) => other.id === scan.id);
  set({ scans: known ? state.scans.map((other) => (other.id === scan.id ? scan : other)) : [...state.scans, scan] });
}

/** Choices that name nothing any more are dropped: scans expire, and others may have deleted them. */
export function dropLostChoices() {
  const supports = state.supports.filter(labelsOf);
  const query = scanOf(state.query) ? state.query : null;
  const reference = scanOf(query)?.labels.some((labels) => labels.id === state.reference) ? state.reference : null;
  set({ query, reference, queryByHand: state.queryByHand && query !== null });
  if (supports.length !== state.supports.length) set({ supports });
  if (!supports.length) set({ supportsByHand: false });
}
