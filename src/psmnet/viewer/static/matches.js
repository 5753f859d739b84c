/**
 * The labelled slices with which the query's slice under the cross-hair was compared.
 *
 * @typedef {import("./state.js").FoundOrgan} FoundOrgan
 * @typedef {import("./api.js").SliceMatch} SliceMatch
 */

import * as api from "./api.js";
import { $, make, refill, swatch } from "./dom.js";
import { words } from "./format.js";
import { attempt } from "./notices.js";
import { labelsOf, shownJob, titleOf, watch } from "./state.js";
import { lookAtSupport, onQueryMoved, queryViewer } from "./viewers.js";

/**
 * The job whose matches were requested, and the answer once it has arrived.
 *
 * @type {{job: string | null, organs: Record<string, SliceMatch[]> | null, axis: number | null}}
 */
let requested = { job: null, organs: null, axis: null };

export function startMatches() {
  watch(["jobs", "shownJob"], request);
  watch(["scans"], () => render());
  onQueryMoved(render);
  request();
}

async function request() {
  const shown = shownJob();
  const job = shown?.result ? shown.id : null;
  if (job === requested.job) return;
  requested = { job, organs: null, axis: null };
  render();
  if (!job) return;
  const answer = await attempt(() => api.matches(job));
  if (requested.job !== job) return;
  requested.organs = answer?.organs ?? {};
  render();
}

/**
 * The stored axis along which slices are counted: the one where every slice's point lies in the voxel of its number.
 * The scan itself does not say along which it was acquired.
 *
 * @param {Record<string, SliceMatch[]>} organs
 */
function slicingAxis(organs) {
  const slices = Object.values(organs).flat();
  /** @param {number} axis */
  const isAlong = (axis) => slices.every(({ slice, mm }) => Math.abs(queryViewer().voxelAt(mm)[axis] + 1 - slice) < 1);
  return [2, 1, 0].find(isAlong) ?? 2;
}

function render() {
  const job = shownJob();
  const isShown = Boolean(job?.result && job.query && queryViewer().layers.scan?.id === job.query);
  $("#matches-card").hidden = !isShown;
  if (!isShown || !requested.organs || !job?.result) return;
  const axis = (requested.axis ??= slicingAxis(requested.organs));
  const slice = (queryViewer().probe()?.voxel[axis] ?? 0) + 1;
  const served = job.result.organs.flatMap((organ) => {
    const match = matchOf(organ, slice);
    return match ? [{ organ, match }] : [];
  });
  $("#matches-slice").textContent = served.length
    ? `Slice ${slice} of the query was compared with these labelled slices:`
    : `No organ was searched for in slice ${slice} of the query.`;
  const titles = job.supports.map((id) => titleOf(labelsOf(id)));
  const rows = () => served.map(({ organ, match }) => rowOf(organ, match, titles.length > 1));
  refill($("#matches"), [job.id, slice, titles], rows);
}

/** @param {FoundOrgan} organ @param {number} slice */
const matchOf = ({ value }, slice) => requested.organs?.[value]?.find((one) => one.slice === slice && one.served.length);

/** @param {FoundOrgan} organ @param {SliceMatch} match @param {boolean} areSeveral whether there is more than one support */
function rowOf(organ, match, areSeveral) {
  const groups = Map.groupBy(match.served, ({ labels }) => labels);
  const served = [...groups].map(([labels, slices]) => {
    const title = titleOf(labelsOf(labels));
    const buttons = slices.map(({ slice, mm }) =>
      make("button", {
        type: "button",
        disabled: !labelsOf(labels),
        "aria-label": `${words(organ.name)}: show slice ${slice} of ${title}`,
        title: `Show slice ${slice} of ${title}`,
        "data-focus": `${organ.value} ${labels} ${slice}`,
        onclick: () => lookAtSupport(labels, mm),
      }, String(slice)),
    );
    return make("div", { className: "served" }, areSeveral && make("small", {}, title), ...buttons);
  });
  const name = make("span", {}, swatch(organ.colour), words(organ.name));
  return make("li", { "data-match": organ.value }, name, ...served);
}
