/** Grey windows by name. Those in Hounsfield units are for CT only. */

/** @type {Record<"auto" | "soft" | "lung" | "bone" | "full", {label: string, hounsfield?: [number, number]}>} */
export const WINDOWS = {
  auto: { label: "Auto" },
  soft: { label: "Soft tissue (CT)", hounsfield: [-160, 240] },
  lung: { label: "Lung (CT)", hounsfield: [-1350, 150] },
  bone: { label: "Bone (CT)", hounsfield: [-450, 1050] },
  full: { label: "Full range" },
};

/**
 * @param {keyof typeof WINDOWS} name
 * @param {import("@niivue/niivue").NVImage} image
 * @param {string | undefined} modality
 * @returns {(number | undefined)[]} darkest and brightest value
 */
export function windowOf(name, image, modality) {
  if (name === "full") return [image.global_min, image.global_max];
  const { hounsfield } = WINDOWS[name];
  return hounsfield && modality === "CT" ? hounsfield : [image.robust_min, image.robust_max];
}
