/** The server's endpoints. Every request carries the token that the page's address brought. */

const KEPT = "psmnet-token";

/** What the server says is wrong, in its own words. */
export class ApiError extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

let askForToken = async () => "";
let asking = null;

/** @param {(isWrong: boolean) => Promise<string>} ask called when the token is missing, or the server refuses it */
export function onMissingToken(ask) {
  askForToken = ask;
}

/**
 * Keep the token of the address out of sight and out of the history.
 *
 * @returns {?string} the token, if there was one
 */
export function takeTokenFromAddress() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!token) return null;
  sessionStorage.setItem(KEPT, token);
  history.replaceState(null, "", location.pathname + location.search);
  return token;
}

/** @param {string} refused the token that the server did not take; "" where the page had none */
async function newToken(refused) {
  // Requests that fail together ask once, and one that comes late takes the new token.
  if (refused !== tokenNow()) return;
  asking ??= askForToken(refused !== "").finally(() => (asking = null));
  sessionStorage.setItem(KEPT, await asking);
}

const tokenNow = () => sessionStorage.getItem(KEPT) ?? "";

/** @returns {Promise<Response>} one with a status of 2xx */
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

async function detailOf(response) {
  const body = await response.json().catch(() => null);
  return typeof body?.detail === "string" ? body.detail : `The server answered ${response.status}; see its log.`;
}

const json = async (path, options) => (await request(path, options)).json();
const post = (path, body) =>
  json(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
const upload = (path, query, body) =>
  json(`${path}?${new URLSearchParams(query)}`, {
    method: "POST",
    headers: { "Content-Type": "application/octet-stream" },
    body,
  });
const remove = (path) => request(path, { method: "DELETE" });
const bytes = async (path) => (await request(path)).arrayBuffer();

export const health = () => json("/health");
export const metrics = () => json("/metrics");

export const scans = () => json("/scans");
export const scan = (id) => json(`/scans/${id}`);
export const addScan = (file) => upload("/scans", { name: file.name }, file);
export const removeScan = (id) => remove(`/scans/${id}`);
export const scanVolume = (id) => bytes(`/scans/${id}/volume`);
export const addSamples = () => post("/samples", {});

export const addLabels = (scanId, file) => upload(`/scans/${scanId}/labels`, { name: file.name }, file);
/** @param {number[]} values label value that voxels of 1, 2, ... stand for */
export const addCorrection = (scanId, file, jobId, values) =>
  upload(`/scans/${scanId}/labels`, { name: file.name, corrects: jobId, values: values.join(",") }, file);
export const removeLabels = (id) => remove(`/labels/${id}`);
export const labelsVolume = (id) => bytes(`/labels/${id}/volume`);

export const jobs = () => json("/jobs");
export const addJob = (job) => post("/jobs", job);
export const cancelJob = (id) => json(`/jobs/${id}/cancel`, { method: "POST" });
export const removeJob = (id) => remove(`/jobs/${id}`);
export const jobFile = (id, name) => bytes(`/jobs/${id}/files/${name}`);
export const matches = (id) => json(`/jobs/${id}/matches`);
