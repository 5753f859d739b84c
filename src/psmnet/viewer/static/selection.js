/** Which of the added files are selected: never in place of what the user has chosen by hand. */

import { labelsOf, scanOf, set, state } from "./state.js";

/**
 * Select what was added. The first label set becomes the support, unless one of the user's own is selected already. The
 * query is preferably a scan without labels. Samples give way to the user's own scans.
 *
 * @param {string[]} scans ids
 * @param {import("./state.js").LabelSet[]} labelSets
 */
export function selectAdded(scans, labelSets) {
  set({ newest: scans.at(-1) ?? labelSets.at(-1)?.scan ?? state.newest });
  if (state.correcting) return;
  const supports = supportsWith(labelSets);
  const query = state.queryByHand ? state.query : queryFor(supports, scans);
  if (query !== state.query) set({ query, reference: null });
  if (supports !== state.supports) set({ supports });
  set({ shownJob: null, mask: "" });
}

/** @param {import("./state.js").LabelSet[]} labelSets */
function supportsWith(labelSets) {
  /** @param {string} id */
  const isOwn = (id) => !scanOf(labelsOf(id)?.scan)?.sample;
  const isKept = !labelSets.length || state.supportsByHand || state.supports.some(isOwn);
  return isKept ? state.supports : [labelSets[0].id];
}

/**
 * @param {string[]} supports ids of label sets
 * @param {string[]} added ids of scans
 * @returns {string | null} the scan to segment, by id
 */
function queryFor(supports, added) {
  const labelled = new Set(supports.map((id) => labelsOf(id)?.scan));
  /** @param {import("./state.js").Scan} scan */
  const isFree = (scan) => !labelled.has(scan.id);
  const fresh = added.flatMap((id) => scanOf(id) ?? []).filter(isFree);
  const before = scanOf(state.query);
  const areSamples = [...labelled].every((id) => scanOf(id)?.sample);
  const kept = before && isFree(before) && (!before.sample || areSamples) ? before : null;
  const others = state.scans.filter((scan) => isFree(scan) && !scan.sample && !scan.labels.length);
  return (fresh.find((scan) => !scan.labels.length) ?? fresh[0] ?? kept ?? others[0])?.id ?? null;
}
