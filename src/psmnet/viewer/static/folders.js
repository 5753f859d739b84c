/** Folders in what is dropped, and loose DICOM slices, which become one scan. */

import { zip } from "./zip.js";

const VOLUME = /\.(nii|nii\.gz|nrrd|mha|zip)$/i;

/**
 * The files of a drop, those in folders too.
 *
 * @param {DataTransfer} transfer to be read while the event lasts
 * @returns {Promise<File[]>}
 */
export async function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry() ?? item.getAsFile()).filter(Boolean);
  return (await Promise.all(entries.map(opened))).flat();
}

/** @param {FileSystemEntry | File} entry a file where what is dropped comes from no file system */
async function opened(entry) {
  if (entry instanceof File) return [entry];
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const files = [];
  for (;;) {
    // A reader hands out a folder by the hundred.
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!entries.length) return files;
    files.push(...(await Promise.all(entries.map(opened))).flat());
  }
}

/**
 * Several files that are no volumes by their endings are slices of one scan: they are put into a .zip.
 *
 * @param {File[]} files
 * @returns {Promise<File[]>}
 */
export async function bundled(files) {
  const visible = files.filter((file) => !file.name.startsWith(".") && file.name !== "DICOMDIR");
  const slices = visible.filter((file) => !VOLUME.test(file.name));
  if (slices.length < 2) return visible;
  return [...visible.filter((file) => VOLUME.test(file.name)), await zip(slices, "DICOM slices.zip")];
}
