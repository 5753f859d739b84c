/** Volumes as NiiVue images, the last few kept: going back and forth between jobs then costs nothing. */

import * as api from "./api.js";
import { toRanks } from "./labelmap.js";
import { NVImage } from "./niivue.js";

const MOST_KEPT = 8;
/** What is less uncertain is not drawn: 0 is certain, 1 a toss-up. */
export const CLEARLY_UNCERTAIN = 0.2;
// NiiVue's COLORMAP_TYPE calls this translucent, and its shader clears what lies below the minimum.
const CLEAR_BELOW_MINIMUM = 2;

/** @type {Map<string, Promise<object>>} */
const kept = new Map();

function keep(key, read) {
  const image = kept.get(key) ?? read();
  kept.delete(key);
  kept.set(key, image);
  image.catch(() => kept.delete(key));
  if (kept.size > MOST_KEPT) kept.delete(kept.keys().next().value);
  return image;
}

export const scanImage = (id) =>
  keep(`scan ${id}`, async () => NVImage.loadFromUrl({ url: await api.scanVolume(id), name: "scan.nii" }));

/** @param {import("./state.js").LabelSet} labels */
export const labelsImage = (labels) =>
  keep(`labels ${labels.id}`, async () => ranked(await api.labelsVolume(labels.id), "labels.nii", labels.organs));

/** @param {import("./state.js").Job} job */
export const resultImage = (job) =>
  keep(`result ${job.id}`, async () =>
    ranked(await api.jobFile(job.id, "mask.nii.gz"), "mask.nii.gz", job.result.organs),
  );

export const uncertaintyImage = (job) =>
  keep(`uncertainty ${job.id}`, async () => {
    const url = await api.jobFile(job.id, "uncertainty.nii.gz");
    const image = await NVImage.loadFromUrl({ url, name: "uncertainty.nii.gz", colormap: "inferno", opacity: 0.7 });
    return Object.assign(image, { cal_min: CLEARLY_UNCERTAIN, cal_max: 1, colormapType: CLEAR_BELOW_MINIMUM });
  });

async function ranked(url, name, organs) {
  const image = await NVImage.loadFromUrl({ url, name });
  toRanks(image, organs);
  return image;
}
