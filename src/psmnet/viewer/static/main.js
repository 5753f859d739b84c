/** The page: starts every part, then follows the server's events for as long as the page is open. */

import { health, onMissingToken, takeTokenFromAddress } from "./api.js";
import { startBrush } from "./brush.js";
import { $ } from "./dom.js";
import { startDownloads } from "./downloads.js";
import { follow } from "./events.js";
import { bytesText } from "./format.js";
import { acceptDrops } from "./intake.js";
import { dropJob, putJob, refreshJobs, startJobs } from "./jobs.js";
import { startLearn } from "./learn.js";
import { startLearned } from "./learned.js";
import { startMatches } from "./matches.js";
import { attempt, complain, whenMissing } from "./notices.js";
import { refreshMetrics, startOrgans } from "./organs.js";
import { refreshScans, startScans } from "./scans.js";
import { startSetup } from "./setup.js";
import { startShortcuts } from "./shortcuts.js";
import { recallChoices, scanOf } from "./state.js";
import { answer, askForToken } from "./token.js";
import { startToolbar } from "./toolbar.js";
import { startViewers } from "./viewers.js";

async function start() {
  onMissingToken(askForToken);
  whenMissing(async () => (await refreshScans(), refreshJobs()));
  takeTokenFromAddress();
  addEventListener("hashchange", () => answer(takeTokenFromAddress()));
  recallChoices();
  await startViewers();
  startToolbar();
  startScans();
  startSetup();
  startLearn();
  startJobs();
  startLearned();
  startOrgans();
  startMatches();
  startDownloads();
  startBrush();
  startShortcuts();
  acceptDrops();
  void follow({ opened, event, lost: () => showConnection(false) });
}

async function opened() {
  await refreshMetrics();
  await refreshScans();
  await refreshJobs();
  showConnection(true);
  await showServer();
  document.documentElement.dataset.ready = "true";
}

async function showServer() {
  const { version, device, stored_bytes: stored, limit_bytes: limit } = await health();
  $("#server").textContent = `psmnet ${version} on ${device}, ${bytesText(stored)} of ${bytesText(limit)} used`;
}

/** @param {string} name @param {any} data */
function event(name, data) {
  if (name === "job") putJob(data);
  if (name === "gone") dropJob(data.id);
  // Another window of this page has added a scan.
  if (name === "job" && ![data.query, ...data.scans].filter(Boolean).every(scanOf)) void attempt(refreshScans);
}

/** @param {boolean} isThere */
function showConnection(isThere) {
  $("#connection").dataset.state = isThere ? "there" : "lost";
  $("#connection").textContent = isThere ? "Connected" : "Server not reached; trying again …";
}

start().catch((error) => complain(error));
