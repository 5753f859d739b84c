/**
 * Where voxels lie. NiiVue turns every scan to right, front, head; files have an order of their own.
 *
 * @typedef {import("@niivue/niivue").NVImage} NVImage
 * @typedef {[number, number, number]} Triple
 */

/** @param {number[]} numbers @returns {Triple} the first three */
export const triple = ([x, y, z]) => [x, y, z];

/** Index of a voxel in the stored array. @param {NVImage} image @param {number[]} turned voxel in NiiVue's order */
export function storedIndex({ img2RASstart, img2RASstep }, turned) {
  const [start, step] = [img2RASstart ?? [0, 0, 0], img2RASstep ?? [0, 0, 0]];
  return turned.reduce((index, at, axis) => index + start[axis] + at * step[axis], 0);
}

/** Index of a voxel in an array of NiiVue's order, such as its drawing. @param {NVImage} image @param {number[]} turned */
export function turnedIndex({ dimsRAS }, [x, y, z]) {
  const [, width, height] = dimsRAS ?? [];
  return x + width * (y + height * z);
}

/** The stored voxel (x, y, z), counted from 0. @param {NVImage} image @param {number} index in the stored array */
export function storedVoxel({ hdr }, index) {
  const [, width, height] = hdr?.dims ?? [];
  return [index % width, Math.floor(index / width) % height, Math.floor(index / (width * height))];
}

/** A stored voxel's centre in NIfTI's world, mm. @param {NVImage} image @param {number[]} voxel */
export const worldOf = ({ hdr }, [x, y, z]) =>
  (hdr?.affine ?? []).slice(0, 3).map(([i, j, k, at]) => i * x + j * y + k * z + at);
