/** Where voxels lie. NiiVue turns every scan to right, front, head; files have an order of their own. */

/** Index of a voxel in the stored array. @param {object} image NiiVue's @param {number[]} turned voxel in its order */
export function storedIndex({ img2RASstart: start, img2RASstep: step }, turned) {
  return turned.reduce((index, at, axis) => index + start[axis] + at * step[axis], 0);
}

/** Index of a voxel in an array of NiiVue's order, such as its drawing. */
export const turnedIndex = ({ dimsRAS: [, width, height] }, [x, y, z]) => x + width * (y + height * z);

/** The stored voxel (x, y, z), counted from 0. @param {number} index in the stored array */
export function storedVoxel({ hdr }, index) {
  const [, width, height] = hdr.dims;
  return [index % width, Math.floor(index / width) % height, Math.floor(index / (width * height))];
}

/** A stored voxel's middle in NIfTI's world, mm. */
export const worldOf = ({ hdr }, [x, y, z]) =>
  hdr.affine.slice(0, 3).map(([i, j, k, at]) => i * x + j * y + k * z + at);
