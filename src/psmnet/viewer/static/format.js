/**
 * Numbers and times as people read them.
 *
 * @typedef {import("./state.js").Scan} Scan
 */

/** @param {number} number @param {number} digits */
const round = (number, digits) => String(Number(number.toFixed(digits)));

/** @param {Scan} scan */
export const size = (scan) => scan.size.join("×");
/** @param {Scan} scan */
export const spacing = (scan) => `${scan.spacing_mm.map((mm) => round(mm, 2)).join("×")} mm`;

/** @param {number} ml */
export const millilitres = (ml) => (ml >= 100 ? ml.toFixed(0) : ml.toFixed(1));
/** @param {number} fraction */
export const percent = (fraction) => `${Math.round(100 * fraction)} %`;

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${Math.round(seconds % 60)} s` : `${round(seconds / 3600, 1)} h`;
}

/** A time that is not known exactly. @param {number} seconds */
export function about(seconds) {
  if (seconds < 60) return `about ${Math.max(5, 5 * Math.round(seconds / 5))} s`;
  return seconds < 3600 ? `about ${Math.round(seconds / 60)} min` : `about ${round(seconds / 3600, 1)} h`;
}

/** @param {number} bytes */
export const bytesText = (bytes) =>
  bytes < 2 ** 30 ? `${Math.ceil(bytes / 2 ** 20)} MiB` : `${round(bytes / 2 ** 30, 1)} GiB`;
/** @param {string} iso */
export const clock = (iso) => new Date(iso).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
/** @param {number} count @param {string} noun */
export const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
/** "right_kidney" reads better as "right kidney". @param {string} name */
export const words = (name) => name.replaceAll("_", " ");
