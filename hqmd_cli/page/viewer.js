// The page that shows a photo's depth. `hqmd predict -o look.html` inlines it; `hqmd serve` serves it as files.
//
// One function is for others: `await showDepth(root, {photo, depthPng, meta})` replaces what is in the element `root`.
//
//   photo     URL or Blob that an <img> shows. The page turns it upright as browsers do; depth is of the upright photo.
//   depthPng  Uint8Array, a PNG of 16-bit grey of the photo's size, as `.mm.png`. It is decoded here, bit by bit.
//   meta      plain data, as prediction/writers/look.py makes it (`metadata`):
//     photo, model, version   names: of the photo, of the model, and hqmd's version
//     kind, unit              "depth" (metres), "disparity" or "relative"; and the unit in words
//     near, far               values at both ends; near is the larger one of a disparity
//     encoding                {per_unit, offset, no_depth, is_cut}: value = offset + number / per_unit; `no_depth` is the
//                             number that means none, or null; `is_cut`: 65535 may mean more
//     camera                  {fx, fy, cx, cy, origin, is_known} in pixels of the upright photo
//     scale_error             relative standard deviation of all metres together, null if nobody knows
//     shape_error             {png, per_unit}: that of each pixel, a base64 PNG of 16 bits at any size; or null
//     colormap, range, colormaps   the colormap to begin with, [near, far] of its colours, name -> base64 of 256 x RGB
//     edge_rtol, max_uncertainty   what counts as a jump (geometry/surfaces.py); the largest error in 3D, or null
//     remarks                 sentences for the reader
//
// It returns {close()}, which frees the graphics card; a second showDepth on the same root does so, too. It throws an
// Error, and leaves `root` as it is, if the depth is no such PNG. The page needs viewer.css, and no permission of a
// Content-Security-Policy beyond `script-src 'self'; style-src 'self'; img-src 'self' blob: data:`.

import { Colours } from "./colours.js";
import { MOST_POINTS, glbOf, npyOf, plyOf } from "./export.js";
import { LAYOUT } from "./layout.js";
import { DepthMap, fromBase64, inMetres, withError } from "./measure.js";
import { Room } from "./room.js";
import { Stage } from "./stage.js";
import { hasWebGL, pictureFor } from "./view3d.js";

const opened = new WeakMap(); // root -> Viewer
const INLINE = "data:image/jpeg;base64,";
const HINT = "Point at the picture to read its depth. Click two points to measure between them.";

export async function showDepth(root, { photo, depthPng, meta }) {
  const map = await DepthMap.read(depthPng, meta);
  opened.get(root)?.close();
  const viewer = new Viewer(root, map, photo, depthPng);
  opened.set(root, viewer);
  return viewer;
}

class Viewer {
  constructor(root, map, photo, depthPng) {
    Object.assign(this, { root, map, meta: map.meta, photo, depthPng, points: [], label: "", room: null });
    root.innerHTML = LAYOUT;
    this.$ = (name) => root.querySelector(`[data-part="${name}"]`);
    this.url = photo instanceof Blob ? URL.createObjectURL(photo) : photo;
    this.isInline = this.url.startsWith(INLINE);
    this.colours = new Colours(map);
    this.colours.paint(this.$("depth"));
    this.sayFacts();
    this.stage = new Stage(this);
    this.openColours();
    this.openTabs();
    this.openDownloads();
    this.$("clear").addEventListener("click", () => this.clear());
    this.measure();
  }

  close() {
    this.stage.close();
    this.room?.close();
    if (this.photo instanceof Blob) URL.revokeObjectURL(this.url);
  }

  // --- what the page says of the photo

  sayFacts() {
    const { meta, map } = this, sure = meta.scale_error === null ? "" : ` ± ${(100 * meta.scale_error).toFixed(0)} %`;
    const ends = [meta.near, meta.far].map((value) => this.inUnit(value));
    this.$("title").textContent = meta.photo;
    this.$("summary").textContent = map.isMetric ? `${ends[0]} to ${ends[1]} deep${sure}` : meta.unit;
    const assumed = map.isMetric && !meta.camera.is_known;
    this.$("caveat").hidden = !assumed;
    this.$("assumed").textContent = meta.camera.origin.replace(/^.*assumed: /, "");
    this.$("npy-unit").textContent = map.isMetric ? "float32 metres" : `float32 ${meta.kind}`;
    [meta.near, meta.far].sort((a, b) => a - b).forEach((value, i) => { this.$(i ? "most" : "least").textContent = this.inUnit(value); });
    this.$("hint").textContent = map.isMetric ? HINT
      : `Point at the picture to read its numbers: ${meta.unit}. Without metres there is nothing to measure.`;
    const facts = {
      unit: meta.unit, range: ends.join(" to "), model: meta.model, camera: meta.camera.origin,
      "focal length": `${meta.camera.fx.toFixed(1)} pixels`, size: `${map.width} × ${map.height} pixels`,
      "made by": `hqmd ${meta.version}`, ...(sure && { scale: `${sure.trim()}, one standard deviation` }),
      ...(meta.max_uncertainty !== null && { "left out of 3D": `errors above ${100 * meta.max_uncertainty} %` }),
    };
    for (const [head, text] of Object.entries(facts)) {
      const row = this.$("facts").appendChild(document.createElement("div"));
      row.appendChild(document.createElement("dt")).textContent = head;
      row.appendChild(document.createElement("dd")).textContent = text;
    }
    for (const remark of meta.remarks) this.$("remarks").appendChild(document.createElement("li")).textContent = remark;
  }

  inUnit(value) { return this.map.isMetric ? inMetres(value) : Number(value.toPrecision(3)).toString(); }

  /** What a pixel holds, in words. */
  reading(x, y) {
    const value = this.map.at(x, y);
    if (Number.isNaN(value)) return "no depth here";
    if (this.map.isCut(x, y)) return `${inMetres(value)} or more`;
    return this.map.isMetric ? withError(value, this.map.errorAt(x, y)) : this.inUnit(value);
  }

  /** Show where a value lies in the histogram; NaN: nowhere. */
  pointAt(value) {
    const { near, far } = this.meta, [from, to] = [near, far].sort((a, b) => a - b), needle = this.$("needle");
    needle.hidden = Number.isNaN(value);
    needle.style.left = `${100 * Math.min(1, Math.max(0, (value - from) / (to - from || 1)))}%`;
  }

  say(text) { this.$("live").textContent = text; }

  // --- two points

  add(pixel) {
    if (!this.map.isMetric) return;
    if (Number.isNaN(this.map.at(...pixel))) return this.refuse("There is no depth at this point.");
    this.points = this.points.length === 2 ? [pixel] : [...this.points, pixel];
    this.measure();
  }

  move(which, pixel) {
    if (Number.isNaN(this.map.at(...pixel))) return;
    this.points[which] = pixel;
    this.measure();
  }

  clear() {
    this.points = [];
    this.measure();
  }

  refuse(text) {
    Object.assign(this.$("hint"), { textContent: text, hidden: false });
    this.say(text);
  }

  measure() {
    const [a, b] = this.points, length = this.$("length"), detail = this.$("detail");
    this.$("clear").hidden = !a;
    this.$("answer").hidden = !b;
    this.$("hint").hidden = Boolean(b);
    this.label = "";
    if (b) {
      const { metres, error, low, high } = this.map.distance(a, b);
      this.label = length.textContent = withError(metres, error);
      Object.assign(length.dataset, { metres, error, a, b });
      const cut = this.map.isCut(...a) || this.map.isCut(...b) ? " A point may lie farther away than 16 bits can say." : "";
      detail.textContent = (error === null ? "How sure this is, this model does not know."
        : `9 times in 10 between ${inMetres(low)} and ${inMetres(high)}.`) + cut;
      this.$("ends").textContent = `A ${inMetres(this.map.at(...a))} deep, B ${inMetres(this.map.at(...b))} deep`;
      this.say(`Distance from A to B: ${this.label}. ${detail.textContent}`);
    } else if (a) {
      this.refuse(`A is ${this.reading(...a)} deep. Now choose a second point.`);
    } else if (this.map.isMetric) {
      this.$("hint").textContent = HINT;
    }
    this.stage.mark();
    this.room?.view.draw();
  }

  // --- colours

  openColours() {
    const { colours } = this, choice = this.$("colormap"), ends = [this.$("near"), this.$("far")];
    choice.replaceChildren(...Object.keys(this.meta.colormaps).map((name) => new Option(name, name)));
    const show = () => {
      choice.value = colours.colormap;
      ends.forEach((end, i) => { end.value = Number(colours.range[i].toFixed(3)); });
      colours.paintHistogram(this.$("histogram"));
    };
    const repaint = () => {
      colours.paint(this.$("depth"));
      show();
      this.room?.repaint();
    };
    choice.addEventListener("change", () => { colours.colormap = choice.value; repaint(); });
    ends.forEach((end, i) => end.addEventListener("change", () => {
      const range = colours.range.with ? colours.range.with(i, Number(end.value)) : colours.range.map((old, j) => (j === i ? Number(end.value) : old));
      const fits = end.value !== "" && (this.meta.kind === "disparity" ? range[0] > range[1] : range[0] < range[1]);
      if (fits) colours.range = range;
      repaint();
    }));
    this.$("reset").addEventListener("click", () => { colours.reset(); repaint(); });
    show();
  }

  // --- 3D

  openTabs() {
    const tabs = { picture: this.$("tab-picture"), room: this.$("tab-room") }, offered = hasWebGL();
    tabs.room.disabled = !this.map.isMetric || !offered;
    this.$("no-room").textContent = !this.map.isMetric ? "3D needs metres, and this model gives none."
      : offered ? "" : "3D needs WebGL2, which this browser does not offer.";
    this.$("no-room").hidden = !tabs.room.disabled;
    const choose = async (name) => {
      for (const [each, tab] of Object.entries(tabs)) {
        tab.setAttribute("aria-selected", String(each === name));
        tab.tabIndex = each === name ? 0 : -1;
        this.$(each).hidden = each !== name;
      }
      if (name === "room") {
        try {
          this.room = await (this.opening ??= Room.open(this));
        } catch (error) {
          Object.assign(this.$("no-room"), { textContent: `3D does not work here: ${error.message}`, hidden: false });
        }
      }
      this.room?.view.draw();
      this.stage.mark();
    };
    for (const [name, tab] of Object.entries(tabs)) {
      tab.addEventListener("click", () => choose(name));
      tab.addEventListener("keydown", (event) => {
        if (event.key !== "ArrowLeft" && event.key !== "ArrowRight" || tabs.room.disabled) return;
        const other = name === "room" ? "picture" : "room";
        tabs[other].focus();
        choose(other);
      });
    }
  }

  /** The map in space for files, made once. */
  grid() { return (this.kept ??= this.map.grid(MOST_POINTS)); }

  // --- files

  openDownloads() {
    const name = this.meta.photo.split("/").pop().replace(/\.[^.]*$/, "") || "depth";
    const makers = {
      mm: [".mm.png", "image/png", () => [this.depthPng]],
      npy: [".npy", "application/octet-stream", () => npyOf(this.map)],
      ply: [".ply", "application/octet-stream", async () => plyOf(this.grid(), await this.rgb())],
      glb: [".glb", "model/gltf-binary", async () => glbOf(this.grid(), await this.jpeg(), await this.rgb())],
    };
    for (const [kind, [suffix, type, make]] of Object.entries(makers)) {
      const button = this.$(`get-${kind}`);
      button.hidden = !this.map.isMetric && kind !== "npy";
      button.addEventListener("click", async () => {
        const link = document.createElement("a");
        link.href = URL.createObjectURL(new Blob(await make(), { type }));
        link.download = name + suffix;
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
        const about = this.$("about-files");
        about.textContent = kind === "ply" || kind === "glb" ? this.aboutFiles(kind) : "";
        about.hidden = !about.textContent;
        this.say(`${link.download} is ready. ${about.textContent}`);
      });
    }
  }

  /** What is missing in a file of points. */
  aboutFiles(kind) {
    const { step } = this.grid(), hasPhoto = this.canReadPhoto() || (kind === "glb" && this.isInline);
    return [step > 1 && `It has one of ${step} rows and columns; \`hqmd predict -o NAME.${kind}\` writes more.`,
      !hasPhoto && "This browser lets no page read the photo's pixels, so it has the colours of the depth."]
      .filter(Boolean).join(" ");
  }

  /** False where the browser cannot show the photo, such as HEIC, or lets no page read it. */
  canReadPhoto() { return this.$("photo").naturalWidth > 0 && canReadPixels(); }

  /** The colours of the grid's pixels, (H * W * 4) bytes: the photo's, or the depth's if no page may read pixels. */
  async rgb() {
    if (!this.canReadPhoto()) return this.colours.of(this.grid());
    const { width, height } = this.grid(), canvas = Object.assign(document.createElement("canvas"), { width, height });
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    pen.drawImage(this.$("photo"), 0, 0, width, height);
    return pen.getImageData(0, 0, width, height).data;
  }

  /** The photo as JPEG bytes without metadata; null if the browser lets no page read its pixels. */
  async jpeg() {
    if (this.isInline) return fromBase64(this.url.slice(INLINE.length)); // hqmd wrote it without any
    if (!this.canReadPhoto()) return null;
    const picture = await pictureFor(this.$("photo"));
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width: picture.naturalWidth ?? picture.width, height: picture.naturalHeight ?? picture.height });
    canvas.getContext("2d").drawImage(picture, 0, 0);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.92));
    return new Uint8Array(await blob.arrayBuffer());
  }
}

/** False in private modes, which add noise to what pages read from a canvas. */
function canReadPixels() {
  const canvas = Object.assign(document.createElement("canvas"), { width: 16, height: 16 });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.fillStyle = "rgb(40 120 200)";
  pen.fillRect(0, 0, 16, 16);
  return pen.getImageData(0, 0, 16, 16).data.every((value, i) => value === [40, 120, 200, 255][i % 4]);
}
