// The last part of look.html: read what the page holds, and show it.

import { fromBase64 } from "./measure.js";
import { showDepth } from "./viewer.js";

const root = document.getElementById("look"), link = document.getElementById("depth").getAttribute("href");
const shown = {
  photo: document.getElementById("photo").src,
  depthPng: fromBase64(link.slice(link.indexOf(",") + 1)),
  meta: JSON.parse(document.getElementById("meta").textContent),
};
showDepth(root, shown).catch((error) => {
  root.append(Object.assign(document.createElement("p"), { className: "caveat", textContent: `This page cannot be shown: ${error.message}` }));
});
