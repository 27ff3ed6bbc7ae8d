// The picture tab: photo and depth with a slider between them, read by pointer, touch and keyboard.

import { drawMarks } from "./marks.js";

const NEAR_A_POINT = 14; // CSS pixels

/** The picture of a Viewer (viewer.js). */
export class Stage {
  constructor(viewer) {
    const { $, map } = viewer, stage = $("stage"), image = $("photo");
    Object.assign(this, { viewer, $, map, stage, cursor: null, dragged: -1 });
    viewer.root.style.setProperty("--aspect", map.width / map.height);
    image.src = viewer.url;
    image.alt = `Photo ${viewer.meta.photo}`;
    this.listenToSlider();
    image.addEventListener("error", () => this.showDepthAlone());
    stage.addEventListener("pointerdown", (event) => {
      this.hover(event);
      this.dragged = this.nearestPoint(event);
      if (this.dragged >= 0) stage.setPointerCapture(event.pointerId);
    });
    stage.addEventListener("pointermove", (event) => {
      this.hover(event);
      if (this.dragged >= 0 && event.buttons) viewer.move(this.dragged, this.pixelAt(event));
    });
    stage.addEventListener("pointerleave", () => this.hideTip());
    stage.addEventListener("click", (event) => {
      if (this.dragged < 0) viewer.add(this.pixelAt(event));
      this.dragged = -1;
    });
    stage.addEventListener("keydown", (event) => this.onKey(event));
    stage.addEventListener("blur", () => { this.cursor = null; this.hideTip(); this.mark(); });
    this.watcher = new ResizeObserver(() => this.mark());
    this.watcher.observe(stage);
  }

  close() { this.watcher.disconnect(); }

  /** For a photo that this browser cannot show, such as HEIC. */
  showDepthAlone() {
    Object.assign(this.$("split"), { value: 0, disabled: true });
    this.stage.style.setProperty("--at", "0%");
    this.$("grip").hidden = true;
    this.viewer.refuse("This browser cannot show photos of this format. Their depth it can.");
  }

  /** The slider below the picture, and the grip on it, which is for pointers only. */
  listenToSlider() {
    const { stage } = this, split = this.$("split"), grip = this.$("grip");
    const slide = () => stage.style.setProperty("--at", `${split.value}%`);
    split.addEventListener("input", slide);
    slide();
    grip.addEventListener("pointerdown", (event) => { grip.setPointerCapture(event.pointerId); event.stopPropagation(); });
    grip.addEventListener("pointermove", (event) => {
      event.stopPropagation();
      if (!grip.hasPointerCapture(event.pointerId)) return;
      const box = stage.getBoundingClientRect();
      split.value = 100 * (event.clientX - box.left) / box.width;
      slide();
      this.hideTip();
    });
    grip.addEventListener("click", (event) => event.stopPropagation());
  }

  pixelAt(event) {
    const box = this.stage.getBoundingClientRect(), { width, height } = this.map;
    const within = (share, end) => Math.min(end - 1, Math.max(0, Math.floor(share * end)));
    return [within((event.clientX - box.left) / box.width, width), within((event.clientY - box.top) / box.height, height)];
  }

  /** Where the middle of a pixel is on the stage, in CSS pixels. */
  placeOf([x, y]) {
    const { clientWidth, clientHeight } = this.stage;
    return [(x + 0.5) / this.map.width * clientWidth, (y + 0.5) / this.map.height * clientHeight];
  }

  /** The number of the measured point under the pointer, or -1. */
  nearestPoint(event) {
    const box = this.stage.getBoundingClientRect();
    return this.viewer.points.findIndex((point) => {
      const [x, y] = this.placeOf(point);
      return Math.hypot(x - event.clientX + box.left, y - event.clientY + box.top) < NEAR_A_POINT;
    });
  }

  hover(event) { this.showTip(this.pixelAt(event), event.pointerType === "touch" ? 56 : 18); }

  /** Say what a pixel holds, so many CSS pixels above it, or below it at the top of the picture. */
  showTip([x, y], above) {
    const { stage } = this, tip = this.$("tip"), [left, top] = this.placeOf([x, y]);
    tip.hidden = false;
    tip.textContent = this.viewer.reading(x, y);
    Object.assign(tip.dataset, { x, y, value: this.map.at(x, y) });
    const over = top > above + tip.offsetHeight;
    const at = Math.min(stage.clientWidth - tip.offsetWidth - 4, Math.max(4, left - tip.offsetWidth / 2));
    tip.style.transform = `translate(${at}px, ${over ? top - above - tip.offsetHeight : top + above}px)`;
    this.viewer.pointAt(this.map.at(x, y));
  }

  hideTip() {
    this.$("tip").hidden = true;
    this.viewer.pointAt(NaN);
  }

  /** Arrows move the cursor by a hundredth of the picture, with Shift by a pixel; Enter sets a point, Escape clears. */
  onKey(event) {
    const { width, height } = this.map;
    const stride = event.shiftKey ? 1 : Math.max(1, Math.round(Math.max(width, height) / 100));
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key in moves) {
      const [right, down] = moves[event.key], [x, y] = this.cursor ?? [width >> 1, height >> 1];
      const within = (value, end) => Math.min(end - 1, Math.max(0, value));
      this.cursor = [within(x + right * stride, width), within(y + down * stride, height)];
      this.showTip(this.cursor, 24);
      this.mark();
      this.viewer.say(`column ${this.cursor[0]}, row ${this.cursor[1]}: ${this.viewer.reading(...this.cursor)}`);
    } else if ((event.key === "Enter" || event.key === " ") && this.cursor) {
      this.viewer.add(this.cursor);
    } else if (event.key === "Escape") {
      this.viewer.clear();
    } else {
      return;
    }
    event.preventDefault();
  }

  mark() {
    const { points, label } = this.viewer;
    drawMarks(this.$("marks"), points.map((point) => this.placeOf(point)), label, this.cursor && this.placeOf(this.cursor));
  }
}
