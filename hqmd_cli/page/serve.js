// The page of `hqmd serve`: takes a photo by every way there is, asks the server for its depth, and shows it with viewer.js.

import { fromBase64 } from "./measure.js";
import { showDepth } from "./viewer.js";

const LIVE_SIDE = 384; // pixels, the longer side of a webcam's picture that is sent
const BUSY_WAIT_MS = 300; // after the server had no time for a picture
const RATE_PICTURES = 10; // over which their rate is taken
const TOKEN = "hqmd-token";
const $ = (id) => document.getElementById(id);
const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });

class Refused extends Error {
  constructor(status, detail) { super(detail); this.status = status; }
}

/** Ask the server; returns its response, and throws what it says in words. */
async function ask(path, options = {}) {
  const token = sessionStorage.getItem(TOKEN);
  let response;
  try {
    response = await fetch(path, { ...options, headers: token ? { Authorization: `Bearer ${token}` } : {} });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The server does not answer. Is it still running?");
  }
  if (response.ok) return response;
  const said = await response.json().catch(() => ({ detail: `the server answered ${response.status}` }));
  $("token-form").hidden = response.status !== 401;
  const missing = response.status === 401 && !token;
  throw new Refused(response.status, missing ? "Type the token, or open the address with it, which the server printed" : said.detail);
}

function say(text, kind = "") {
  $("status").textContent = text;
  $("status").className = `status ${kind}`;
}

// --- one photo

let asking = null; // what stops the request that is under way

async function show(file) {
  if (!file) return;
  asking?.abort();
  const mine = asking = new AbortController();
  const query = new URLSearchParams({ format: "view" });
  if ($("model").value) query.set("model", $("model").value);
  if ($("fov").value) query.set("fov", $("fov").value);
  const form = new FormData();
  form.append("photo", file, file.name || "photo");
  say("Computing the depth…", "busy");
  try {
    const answer = await ask(`v1/depth?${query}`, { method: "POST", body: form, signal: mine.signal });
    const { photo, depth, meta } = await answer.json();
    await showDepth($("look"), { photo: `data:image/jpeg;base64,${photo}`, depthPng: fromBase64(depth), meta });
    say("");
  } catch (error) {
    if (mine.signal.aborted) return; // another photo came
    say(sentence(error.message), "wrong");
  } finally {
    if (asking === mine) asking = null;
  }
}

function sentence(text) { return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : "."); }

for (const id of ["choose", "take"]) {
  $(id).addEventListener("change", (event) => {
    show(event.target.files[0]);
    event.target.value = ""; // so that the same file can be chosen again
  });
}
const carriesFile = (event) => [...event.dataTransfer?.types ?? []].includes("Files");
addEventListener("dragover", (event) => {
  if (!carriesFile(event)) return;
  event.preventDefault();
  $("ask").classList.add("over");
});
addEventListener("dragleave", (event) => { if (!event.relatedTarget) $("ask").classList.remove("over"); });
addEventListener("drop", (event) => {
  if (!carriesFile(event)) return;
  event.preventDefault();
  $("ask").classList.remove("over");
  show(event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => {
  const file = [...event.clipboardData?.files ?? []].find((each) => each.type.startsWith("image/"));
  if (!file) return;
  event.preventDefault();
  show(file);
});

// --- the webcam

let stream = null;

/** Why there is no camera, in a sentence. */
function noCamera(error) {
  const why = {
    NotAllowedError: "The browser may not use the camera. Allow it beside the address, or choose a photo.",
    NotFoundError: "There is no camera here. Choose a photo instead.",
    NotReadableError: "Another program uses the camera. Close it there, or choose a photo.",
    OverconstrainedError: "There is no camera that gives such pictures. Choose a photo instead.",
  };
  return why[error.name] ?? `The camera does not start (${error.name}). Choose a photo instead.`;
}

async function start() {
  if (!navigator.mediaDevices) {
    return stop("Browsers give a camera only to pages on localhost or with https. Choose a photo instead.");
  }
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, facingMode: "environment" }, audio: false });
  } catch (error) {
    return stop(noCamera(error));
  }
  say("");
  $("consent").hidden = true;
  $("view").hidden = false;
  stream.getVideoTracks()[0].addEventListener("ended", () => stop("The camera has stopped."));
  $("video").srcObject = stream;
  await $("video").play().catch(() => {});
  live(stream);
}

function stop(text = "") {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  $("video").srcObject = null;
  $("live").hidden = true;
  $("webcam").focus();
  say(text, text && "wrong");
}

/** The camera's picture now, as a JPEG whose longer side has at most `side` pixels; null before the first. */
async function frame(side = Infinity) {
  const { videoWidth: width, videoHeight: height } = $("video"), scale = Math.min(1, side / Math.max(width, height));
  if (!width) return null;
  const canvas = Object.assign(document.createElement("canvas"), { width: Math.round(width * scale), height: Math.round(height * scale) });
  canvas.getContext("2d").drawImage($("video"), 0, 0, canvas.width, canvas.height);
  return new Promise((done) => { canvas.toBlob(done, "image/jpeg", 0.9); });
}

/** Show depth beside the camera: one picture at a time, the newest; those that come meanwhile are dropped. */
async function live(mine) {
  const query = new URLSearchParams({ format: "color" }), models = $("model").options;
  if (models.length) query.set("model", models[models.length - 1].value); // the last one is the quick one
  const times = []; // of the last pictures
  while (stream === mine) {
    const picture = document.hidden ? null : await frame(LIVE_SIDE);
    if (!picture) {
      await pause(100);
      continue;
    }
    try {
      const answer = await ask(`v1/depth?${query}`, { method: "POST", body: picture }), blob = await answer.blob();
      if (stream !== mine) return;
      const before = $("depth").src;
      $("depth").src = URL.createObjectURL(blob);
      if (before) URL.revokeObjectURL(before);
      const ends = ["hqmd-near", "hqmd-far"].map((name) => Number(answer.headers.get(name)).toFixed(2));
      $("range").textContent = answer.headers.get("hqmd-unit") === "metre" ? `Depth: ${ends[0]} to ${ends[1]} m` : "Depth";
      if (times.push(performance.now()) > RATE_PICTURES) times.shift();
      const each = (times.at(-1) - times[0]) / (times.length - 1);
      if (times.length > 1) $("rate").textContent = `${(1000 / each).toFixed(1)} pictures a second`;
    } catch (error) {
      if (stream !== mine) return;
      if (error.status !== 429) return stop(sentence(error.message));
      await pause(BUSY_WAIT_MS);
    }
  }
}

$("webcam").addEventListener("click", () => {
  if (stream) return;
  $("where").textContent = location.host;
  $("consent").hidden = false;
  $("view").hidden = true;
  $("live").hidden = false;
  $("start").focus();
});
$("start").addEventListener("click", start);
$("cancel").addEventListener("click", () => stop());
$("stop").addEventListener("click", () => stop());
$("freeze").addEventListener("click", async () => {
  const picture = await frame();
  stop();
  if (picture) show(new File([picture], "webcam.jpg", { type: "image/jpeg" }));
});
addEventListener("pagehide", () => stop());

// --- the token, which comes behind # in the address, where no server and no log sees it

async function open() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem(TOKEN, given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  try {
    const { models } = await (await ask("v1/models")).json();
    $("model").replaceChildren(...models.map(({ name }) => new Option(name, name)));
    if (!$("token-form").hidden) say(""); // not what a photo's request says meanwhile
    $("token-form").hidden = true;
  } catch (error) {
    say(sentence(error.message), "wrong");
  }
}

$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, $("token").value.trim());
  $("token").value = "";
  open();
});
open();
