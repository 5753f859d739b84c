/**
 * Label maps as they are drawn. Label values reach 65535, but a drawing has room for 255 and a colour table grows with
 * the largest value: voxels hold the organ's rank 1..n in a list of organs instead.
 *
 * @typedef {import("./state.js").Organ} Organ
 * @typedef {import("@niivue/niivue").NVImage} NVImage
 * @typedef {NVImage & {ranks: Uint8Array, leftOut?: Set<number>, isOutlined?: boolean}} LabelImage
 */

const NIFTI_UINT8 = 2;
const NIFTI_INTENT_LABEL = 1002;
export const MOST_ORGANS = 255;

/**
 * @param {NVImage} image its voxels are label values; afterwards they are ranks, kept as `ranks`
 * @param {Organ[]} organs those beyond MOST_ORGANS are left out
 * @returns {LabelImage} the same image
 */
export function toRanks(image, organs) {
  const ranks = new Uint8Array(65536);
  organs.slice(0, MOST_ORGANS).forEach((organ, place) => (ranks[organ.value] = place + 1));
  const mapped = translated(/** @type {ArrayLike<number>} */ (image.img), ranks);
  Object.assign(image.hdr ?? {}, {
    datatypeCode: NIFTI_UINT8,
    numBitsPerVoxel: 8,
    scl_slope: 1,
    scl_inter: 0,
    intent_code: NIFTI_INTENT_LABEL,
  });
  return Object.assign(image, { ranks: mapped, img: mapped });
}

/** @param {ArrayLike<number>} voxels @param {Uint8Array} table */
function translated(voxels, table) {
  const others = new Uint8Array(voxels.length);
  for (let i = 0; i < others.length; i++) others[i] = table[voxels[i]];
  return others;
}

/**
 * Choose the voxels that are drawn: organs that are not hidden, whole or by their outlines.
 *
 * @param {LabelImage} image
 * @param {Organ[]} organs
 * @param {Set<number>} hidden values
 * @param {boolean} outline
 */
export function choose(image, organs, hidden, outline) {
  if (image.leftOut === hidden && image.isOutlined === outline) return;
  Object.assign(image, { leftOut: hidden, isOutlined: outline });
  const kept = Uint8Array.from({ length: 256 }, (_, rank) => (hidden.has(organs[rank - 1]?.value) ? 0 : rank));
  const shown = hidden.size ? translated(image.ranks, kept) : image.ranks;
  const { dims, pixDims } = headerOf(image);
  image.img = outline ? outlined(shown, dims.slice(1, 4), pixDims.slice(1, 4)) : shown;
}

/** @param {NVImage} image that has been read */
function headerOf({ hdr }) {
  if (!hdr) throw new Error("an image without a header");
  return hdr;
}

/**
 * Voxels at the border of what they belong to, within their slice: NiiVue's own outlines take in whole areas where an
 * organ ends in the next slice, thick as slices are.
 *
 * @param {Uint8Array} voxels
 * @param {number[]} size of the axes
 * @param {number[]} steps mm between voxels of each axis; slices lie along that with the longest
 */
export function outlined(voxels, size, steps) {
  const across = steps.lastIndexOf(Math.max(...steps));
  const strides = [1, size[0], size[0] * size[1]];
  const found = new Uint8Array(voxels.length);
  for (let i = 0; i < voxels.length; i++) {
    if (!voxels[i]) continue;
    const isBorder = strides.some((stride, axis) => {
      if (axis === across) return false;
      const at = Math.floor(i / stride) % size[axis];
      return at === 0 || at === size[axis] - 1 || voxels[i - stride] !== voxels[i] || voxels[i + stride] !== voxels[i];
    });
    if (isBorder) found[i] = voxels[i];
  }
  return found;
}

/**
 * NiiVue's colour table of ranks.
 *
 * @param {Organ[]} organs
 * @param {Set<number>} hidden values that stay clear
 */
export function colourTable(organs, hidden) {
  const shown = organs.slice(0, MOST_ORGANS);
  /** @param {number} start */
  const channel = (start) => [0, ...shown.map((organ) => parseInt(organ.colour.slice(start, start + 2), 16))];
  return {
    R: channel(1),
    G: channel(3),
    B: channel(5),
    A: [0, ...shown.map((organ) => (hidden.has(organ.value) ? 0 : 255))],
    I: [0, ...shown.keys()].map((_, rank) => rank),
    labels: ["", ...shown.map((organ) => organ.name)],
  };
}

/**
 * A voxel (x, y, z, stored order) well inside an organ: in the stored plane with most of it, nearest to its centre.
 *
 * @param {LabelImage} image
 * @param {number} rank
 * @returns {number[] | null} null where the organ has no voxel
 */
export function placeOf(image, rank) {
  const [, width, height, depth] = headerOf(image).dims;
  const area = width * height;
  let best = { count: 0, plane: 0, x: 0, y: 0 };
  for (let plane = 0; plane < depth; plane++) {
    const sum = { count: 0, plane, x: 0, y: 0 };
    for (let i = 0; i < area; i++) {
      if (image.ranks[plane * area + i] !== rank) continue;
      sum.count += 1;
      sum.x += i % width;
      sum.y += Math.floor(i / width);
    }
    if (sum.count > best.count) best = sum;
  }
  if (!best.count) return null;
  const middle = [best.x / best.count, best.y / best.count];
  let nearest = Infinity;
  /** @type {number[] | null} */
  let place = null;
  for (let i = 0; i < area; i++) {
    if (image.ranks[best.plane * area + i] !== rank) continue;
    const [x, y] = [i % width, Math.floor(i / width)];
    const distance = Math.hypot(x - middle[0], y - middle[1]);
    if (distance < nearest) [nearest, place] = [distance, [x, y, best.plane]];
  }
  return place;
}
