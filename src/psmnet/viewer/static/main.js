/** The page: every part is started, then the server is followed for good. */

import { onMissingToken, takeTokenFromAddress } from "./api.js";
import { startBrush } from "./brush.js";
import { $ } from "./dom.js";
import { startDownloads } from "./downloads.js";
import { follow } from "./events.js";
import { acceptDrops } from "./intake.js";
import { dropJob, putJob, refreshJobs, startJobs } from "./jobs.js";
import { startMatches } from "./matches.js";
import { complain } from "./notices.js";
import { startOrgans } from "./organs.js";
import { refreshScans, startScans } from "./scans.js";
import { startSetup } from "./setup.js";
import { startShortcuts } from "./shortcuts.js";
import { recallChoices } from "./state.js";
import { askForToken } from "./token.js";
import { startToolbar } from "./toolbar.js";
import { startViewers } from "./viewers.js";

async function start() {
  onMissingToken(askForToken);
  takeTokenFromAddress();
  recallChoices();
  await startViewers();
  for (const part of [startToolbar, startScans, startSetup, startJobs, startOrgans, startMatches, startDownloads, startBrush, startShortcuts, acceptDrops]) part();
  void follow({ opened, event, lost: () => showConnection(false) });
}

async function opened() {
  await refreshScans();
  await refreshJobs();
  showConnection(true);
  document.documentElement.dataset.ready = "true";
}

function event(name, data) {
  if (name === "job") putJob(data);
  if (name === "gone") dropJob(data.id);
}

function showConnection(isThere) {
  $("#connection").dataset.state = isThere ? "there" : "lost";
  $("#connection").textContent = isThere ? "Connected" : "Server not reached; trying again …";
}

start().catch((error) => complain(error));
