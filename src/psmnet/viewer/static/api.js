/**
 * The server's endpoints. Every request carries the token from the page's address.
 *
 * @typedef {import("./state.js").Scan} Scan
 * @typedef {import("./state.js").LabelSet} LabelSet
 * @typedef {import("./state.js").Job} Job
 * @typedef {import("./state.js").Metric} Metric
 * @typedef {{version: string, device: string, stored_bytes: number, limit_bytes: number}} Health
 * @typedef {{slice: number, mm: number[], served: {labels: string, slice: number, mm: number[]}[]}} SliceMatch
 * @typedef {{supports: string[], query: string, reference?: string, organs?: number[]}} JobRequest
 * @typedef {{supports: string[], scans?: string[], organs?: number[]}} LearnRequest
 */

const KEPT = "psmnet-token";

/** An answer of the server that is not a success, with its explanation as the message. */
export class ApiError extends Error {
  /** @param {number} status of HTTP; 0 where there was no answer @param {string} detail */
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** @type {(isWrong: boolean) => Promise<string>} */
let askForToken = async () => "";
/** @type {Promise<string> | null} */
let asking = null;

/** @param {(isWrong: boolean) => Promise<string>} ask called when the token is missing, or the server refuses it */
export function onMissingToken(ask) {
  askForToken = ask;
}

/**
 * Move the token from the address into the tab's storage, so that neither the history nor a glance shows it.
 *
 * @returns {string | null} the token, if there was one
 */
export function takeTokenFromAddress() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!token) return null;
  sessionStorage.setItem(KEPT, token);
  history.replaceState(null, "", location.pathname + location.search);
  return token;
}

/** @param {string} refused the token that the server did not accept; "" where the page had none */
async function newToken(refused) {
  // Requests that fail together ask once, and one that comes late takes the new token.
  if (refused !== tokenNow()) return;
  asking ??= askForToken(refused !== "").finally(() => (asking = null));
  sessionStorage.setItem(KEPT, await asking);
}

const tokenNow = () => sessionStorage.getItem(KEPT) ?? "";

/**
 * @param {string} path below /api
 * @param {RequestInit} options
 * @returns {Promise<Response>} a successful one; everything else is thrown
 */
export async function request(path, options = {}) {
  for (;;) {
    const token = tokenNow();
    const headers = { ...options.headers, Authorization: `Bearer ${token}` };
    const response = await fetch(`/api${path}`, { ...options, headers, cache: "no-store" }).catch((error) => {
      if (error.name === "AbortError") throw error;
      throw new ApiError(0, "The server can't be reached; is psmnet serve still running?");
    });
    if (response.ok) return response;
    if (response.status !== 401) throw new ApiError(response.status, await detailOf(response));
    await newToken(token);
  }
}

/** @param {Response} response */
async function detailOf(response) {
  const body = await response.json().catch(() => null);
  return typeof body?.detail === "string" ? body.detail : `The server answered ${response.status}; see its log.`;
}

/** @param {string} path @param {RequestInit} [options] @returns {Promise<any>} */
const json = async (path, options) => (await request(path, options)).json();
/** @param {string} path @param {object} body */
const post = (path, body) =>
  json(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
/** @param {string} path @param {Record<string, string>} query @param {File} body */
const upload = (path, query, body) =>
  json(`${path}?${new URLSearchParams(query)}`, {
    method: "POST",
    headers: { "Content-Type": "application/octet-stream" },
    body,
  });
/** @param {string} path */
const remove = (path) => request(path, { method: "DELETE" });
/** @param {string} path */
const bytes = async (path) => (await request(path)).arrayBuffer();

/** @type {() => Promise<Health>} */
export const health = () => json("/health");
/** @type {() => Promise<Metric[]>} */
export const metrics = () => json("/metrics");

/** @type {() => Promise<Scan[]>} */
export const scans = () => json("/scans");
/** @type {(id: string) => Promise<Scan>} */
export const scan = (id) => json(`/scans/${id}`);
/** @type {(file: File) => Promise<Scan>} */
export const addScan = (file) => upload("/scans", { name: file.name }, file);
/** @param {string} id */
export const removeScan = (id) => remove(`/scans/${id}`);
/** @param {string} id */
export const scanVolume = (id) => bytes(`/scans/${id}/volume`);
/** @type {() => Promise<Scan[]>} */
export const addSamples = () => post("/samples", {});

/** @type {(scanId: string, file: File) => Promise<LabelSet>} */
export const addLabels = (scanId, file) => upload(`/scans/${scanId}/labels`, { name: file.name }, file);
/**
 * Upload a mask that was drawn over a job's result.
 *
 * @param {string} scanId
 * @param {File} file
 * @param {string} jobId
 * @param {number[]} values label values of voxels 1, 2, ... of the file
 * @returns {Promise<LabelSet>}
 */
export const addCorrection = (scanId, file, jobId, values) =>
  upload(`/scans/${scanId}/labels`, { name: file.name, corrects: jobId, values: values.join(",") }, file);
/** @param {string} id */
export const removeLabels = (id) => remove(`/labels/${id}`);
/** @param {string} id */
export const labelsVolume = (id) => bytes(`/labels/${id}/volume`);

/** @type {() => Promise<Job[]>} */
export const jobs = () => json("/jobs");
/** @type {(job: JobRequest) => Promise<Job>} */
export const addJob = (job) => post("/jobs", job);
/** @type {(learning: LearnRequest) => Promise<Job>} */
export const addLearning = (learning) => post("/learn", learning);
/** @type {(id: string) => Promise<Job>} */
export const cancelJob = (id) => json(`/jobs/${id}/cancel`, { method: "POST" });
/** @param {string} id */
export const removeJob = (id) => remove(`/jobs/${id}`);
/** @param {string} id @param {string} name */
export const jobFile = (id, name) => bytes(`/jobs/${id}/files/${name}`);
/** A file of one scan of a learning. @param {string} id @param {string} scanId @param {string} name */
export const learnedFile = (id, scanId, name) => bytes(`/jobs/${id}/scans/${scanId}/files/${name}`);
/** @type {(id: string) => Promise<{organs: Record<string, SliceMatch[]>}>} */
export const matches = (id) => json(`/jobs/${id}/matches`);
