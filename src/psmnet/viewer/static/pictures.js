/** Volumes as NiiVue images, the last few kept: going back and forth between jobs then costs nothing. */

import * as api from "./api.js";
import { toRanks } from "./labelmap.js";
import { NVImage } from "./niivue.js";

const MOST_KEPT = 8;
/** Uncertainty below this is not drawn: 0 is certain, 1 undecided. */
export const CLEARLY_UNCERTAIN = 0.2;
// NiiVue's COLORMAP_TYPE calls this translucent, and its shader clears what lies below the minimum.
const CLEAR_BELOW_MINIMUM = 2;

/** @type {Map<string, Promise<any>>} */
const kept = new Map();

/**
 * @template T
 * @param {string} key
 * @param {() => Promise<T>} read
 * @returns {Promise<T>}
 */
function keep(key, read) {
  const image = kept.get(key) ?? read();
  kept.delete(key);
  kept.set(key, image);
  image.catch(() => kept.delete(key));
  for (const oldest of kept.keys()) {
    if (kept.size <= MOST_KEPT) break;
    kept.delete(oldest);
  }
  return image;
}

/** @param {string} id */
export const scanImage = (id) =>
  keep(`scan ${id}`, async () => NVImage.loadFromUrl({ url: await api.scanVolume(id), name: "scan.nii" }));

/** @param {import("./state.js").LabelSet} labels */
export const labelsImage = (labels) =>
  keep(`labels ${labels.id}`, async () => ranked(await api.labelsVolume(labels.id), "labels.nii", labels.organs));

/** A file of what a job found in a scan. @param {import("./state.js").Found} found @param {string} name */
export const foundFile = ({ job, scan, first }, name) =>
  first ? api.learnedFile(job, scan, name) : api.jobFile(job, name);

/** @param {import("./state.js").Found} found */
export const resultImage = (found) =>
  keep(`result ${found.job} ${found.scan}`, async () =>
    ranked(await foundFile(found, "mask.nii.gz"), "mask.nii.gz", found.organs),
  );

/** The first mask beside a learned one. @param {import("./state.js").Found} found */
export const firstImage = (found) =>
  keep(`first ${found.job} ${found.scan}`, async () =>
    ranked(await foundFile(found, "first.nii.gz"), "first.nii.gz", found.first ?? []),
  );

/** @param {import("./state.js").Found} found */
export const uncertaintyImage = (found) =>
  keep(`uncertainty ${found.job}`, async () => {
    const url = await foundFile(found, "uncertainty.nii.gz");
    const image = await NVImage.loadFromUrl({ url, name: "uncertainty.nii.gz", colormap: "inferno", opacity: 0.7 });
    return Object.assign(image, { cal_min: CLEARLY_UNCERTAIN, cal_max: 1, colormapType: CLEAR_BELOW_MINIMUM });
  });

/** @param {ArrayBuffer} url @param {string} name @param {import("./state.js").Organ[]} organs */
async function ranked(url, name, organs) {
  return toRanks(await NVImage.loadFromUrl({ url, name }), organs);
}
