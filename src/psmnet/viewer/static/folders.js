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
  const entries = [...transfer.items].flatMap((item) => item.webkitGetAsEntry() ?? item.getAsFile() ?? []);
  return (await Promise.all(entries.map(opened))).flat();
}

/**
 * @param {FileSystemEntry | File} entry a file where what is dropped comes from no file system
 * @returns {Promise<File[]>}
 */
async function opened(entry) {
  if (entry instanceof File) return [entry];
  if (entry.isFile) return [await fileOf(/** @type {FileSystemFileEntry} */ (entry))];
  const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
  /** @type {File[]} */
  const files = [];
  for (;;) {
    // A reader returns at most a hundred entries at a time.
    /** @type {FileSystemEntry[]} */
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!entries.length) return files;
    files.push(...(await Promise.all(entries.map(opened))).flat());
  }
}

/** @param {FileSystemFileEntry} entry @returns {Promise<File>} */
const fileOf = (entry) => new Promise((resolve, reject) => entry.file(resolve, reject));

/**
 * Several files without the ending of a volume are slices of one scan: they are put into a .zip.
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
