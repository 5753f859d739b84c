/** A .zip of files as they are, not packed: how a folder of DICOM slices travels as one body. */

const CRC = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1;
  return rest;
});

/** @param {Uint8Array} bytes */
function checksum(bytes) {
  let rest = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) rest = CRC[(rest ^ bytes[i]) & 0xff] ^ (rest >>> 8);
  return (rest ^ 0xffffffff) >>> 0;
}

/** Little-endian numbers. @param {...number[]} fields [bytes, value] of each */
function record(...fields) {
  const view = new DataView(new ArrayBuffer(fields.reduce((sum, [bytes]) => sum + bytes, 0)));
  let at = 0;
  for (const [bytes, value] of fields) {
    if (bytes === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += bytes;
  }
  return view.buffer;
}

const VERSION = [2, 20];
const NAMES_IN_UTF8 = [2, 0x0800];
const STORED = [2, 0];
const NO_TIME = [4, 0x00210000]; // the first of January 1980, where the format's time begins

/**
 * @param {File[]} files
 * @param {string} name of the .zip
 * @returns {Promise<File>}
 */
export async function zip(files, name) {
  /** @type {BlobPart[]} */
  const body = [];
  /** @type {(ArrayBuffer | Uint8Array<ArrayBuffer>)[]} */
  const directory = [];
  let offset = 0;
  for (const [place, file] of files.entries()) {
    // Numbered: slices of several folders share their names.
    const title = new TextEncoder().encode(`${String(place).padStart(5, "0")}_${file.name}`);
    const crc = checksum(new Uint8Array(await file.arrayBuffer()));
    const sizes = [[4, crc], [4, file.size], [4, file.size], [2, title.length], [2, 0]];
    const facts = [VERSION, NAMES_IN_UTF8, STORED, NO_TIME, ...sizes];
    const head = record([4, 0x04034b50], ...facts);
    body.push(head, title, file);
    directory.push(record([4, 0x02014b50], VERSION, ...facts, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]), title);
    offset += head.byteLength + title.length + file.size;
  }
  const size = directory.reduce((sum, part) => sum + part.byteLength, 0);
  const count = [2, files.length];
  const end = record([4, 0x06054b50], [2, 0], [2, 0], count, count, [4, size], [4, offset], [2, 0]);
  return new File([...body, ...directory, end], name);
}
