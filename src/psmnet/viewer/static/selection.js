/** Which of the files that were added are selected: never in place of what the user has chosen by hand. */

import { labelsOf, scanOf, set, state } from "./state.js";

/**
 * Select what was added. The first labels are learnt from, unless others of the user's own are; the scan to segment is
 * better one without labels. A sample gives way to the user's own scans.
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

function supportsWith(labelSets) {
  const isOwn = (id) => !scanOf(labelsOf(id)?.scan)?.sample;
  const isKept = !labelSets.length || state.supportsByHand || state.supports.some(isOwn);
  return isKept ? state.supports : [labelSets[0].id];
}

/** @returns {?string} the scan to segment, by id */
function queryFor(supports, added) {
  const teaching = new Set(supports.map((id) => labelsOf(id)?.scan));
  const isFree = (scan) => scan && !teaching.has(scan.id);
  const fresh = added.map(scanOf).filter(isFree);
  const before = scanOf(state.query);
  const areSamples = [...teaching].every((id) => scanOf(id)?.sample);
  const kept = isFree(before) && (!before.sample || areSamples) ? before : null;
  const others = state.scans.filter((scan) => isFree(scan) && !scan.sample && !scan.labels.length);
  return (fresh.find((scan) => !scan.labels.length) ?? fresh[0] ?? kept ?? others[0])?.id ?? null;
}
