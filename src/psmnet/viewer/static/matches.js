/** Which labelled slices served the query's slice under the cross-hair. */

import * as api from "./api.js";
import { $, make, refill, swatch } from "./dom.js";
import { words } from "./format.js";
import { attempt } from "./notices.js";
import { labelsOf, shownJob, titleOf, watch } from "./state.js";
import { lookAtSupport, onQueryMoved, queryViewer } from "./viewers.js";

/** The job asked about, and the answer once it is there. */
let asked = { job: null, organs: null, axis: null };

export function startMatches() {
  watch(["jobs", "shownJob"], ask);
  watch(["scans"], () => render());
  onQueryMoved(render);
  ask();
}

async function ask() {
  const job = shownJob()?.result ? shownJob().id : null;
  if (job === asked.job) return;
  asked = { job, organs: null, axis: null };
  render();
  if (!job) return;
  const answer = await attempt(() => api.matches(job));
  if (asked.job !== job) return;
  asked.organs = answer?.organs ?? {};
  render();
}

/**
 * The stored axis along which slices are counted: the one where every slice's point lies in the voxel of its number.
 * The scan itself does not say along which it was acquired.
 */
function slicingAxis(organs) {
  const slices = Object.values(organs).flat();
  const isAlong = (axis) => slices.every(({ slice, mm }) => Math.abs(queryViewer().voxelAt(mm)[axis] + 1 - slice) < 1);
  return [2, 1, 0].find(isAlong) ?? 2;
}

function render() {
  const job = shownJob();
  const isShown = Boolean(job?.result && queryViewer().layers.scan?.id === job.query);
  $("#matches-card").hidden = !isShown;
  if (!isShown || !asked.organs) return;
  asked.axis ??= slicingAxis(asked.organs);
  const slice = queryViewer().probe().voxel[asked.axis] + 1;
  const served = job.result.organs.map((organ) => [organ, matchOf(organ, slice)]).filter(([, match]) => match);
  $("#matches-slice").textContent = `Slice ${slice} of the query was compared with these slices:`;
  $("#no-matches").hidden = served.length > 0;
  const titles = job.supports.map((id) => titleOf(labelsOf(id)));
  const rows = () => served.map(([organ, match]) => rowOf(organ, match, titles.length > 1));
  refill($("#matches"), [job.id, slice, titles], rows);
}

const matchOf = ({ value }, slice) => asked.organs[value]?.find((one) => one.slice === slice && one.served.length);

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
