// The 3D tab: what pointer, touch, keyboard and sliders do to a View3D.

import { drawMarks } from "./marks.js";
import { inMetres } from "./measure.js";
import { View3D, pictureFor } from "./view3d.js";

const MOST_SHOWN = 500_000; // pixels, so that phones turn them smoothly; files have more
const A_CLICK = 4; // CSS pixels that a pointer may move and still click
const TURNS = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] };

/** The room of a Viewer (viewer.js). */
export class Room {
  static async open(viewer) {
    const room = new Room(viewer);
    room.view.colour("depth", viewer.$("depth"));
    try {
      room.view.colour("photo", await pictureFor(viewer.$("photo")));
    } catch { // a photo that this browser cannot show
      viewer.root.querySelectorAll('[name="skin"]').forEach((choice) => Object.assign(choice, { disabled: true, checked: choice.value === "depth" }));
    }
    room.view.sway();
    return room;
  }

  constructor(viewer) {
    Object.assign(this, { viewer, $: viewer.$, canvas: viewer.$("space"), held: new Map(), moved: 0 });
    this.view = new View3D(this.canvas, viewer.map.grid(MOST_SHOWN), () => this.mark());
    this.watcher = new ResizeObserver(() => this.view.draw());
    this.watcher.observe(this.canvas);
    this.listenToPointer();
    this.canvas.addEventListener("keydown", (event) => this.onKey(event));
    this.listenToChoices();
    this.listenToCut();
  }

  close() {
    this.watcher.disconnect();
    this.view.close();
  }

  /** Show the depth in its new colours. */
  repaint() { if (this.view.shown === "depth") this.view.colour("depth", this.$("depth")); }

  listenToChoices() {
    const { view } = this, each = (name, onChange) => this.viewer.root.querySelectorAll(`[name="${name}"]`)
      .forEach((choice) => choice.addEventListener("change", () => onChange(choice.value)));
    each("surface", (value) => { view.mesh = value === "mesh"; view.draw(); });
    each("skin", (value) => view.colour(value, view.pictures[value]));
    this.$("home").addEventListener("click", () => view.home());
  }

  listenToCut() {
    const sliders = [this.$("cut-near"), this.$("cut-far")], { near, far } = this.viewer.meta;
    const cut = () => {
      const [from, to] = sliders.map((slider) => near + (far - near) * slider.value / 100);
      this.view.cut = [sliders[0].value > 0 ? from : 0, sliders[1].value < 100 ? to : Infinity];
      this.$("cut").textContent = `${inMetres(from)} to ${inMetres(to)}`;
      this.view.draw();
    };
    sliders.forEach((slider) => slider.addEventListener("input", cut));
    cut();
  }

  /** Orbit by dragging; pan by two fingers, the right button or Shift; zoom by wheel or pinch; set points by clicks. */
  listenToPointer() {
    const { canvas, held, view } = this;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      held.set(event.pointerId, event);
      if (held.size === 1) this.moved = 0;
    });
    canvas.addEventListener("pointermove", (event) => this.onMove(event));
    canvas.addEventListener("pointerup", (event) => {
      const click = held.size === 1 && held.has(event.pointerId) && this.moved <= A_CLICK && event.button === 0;
      held.delete(event.pointerId);
      if (click) this.onClick(event);
    });
    canvas.addEventListener("pointercancel", (event) => held.delete(event.pointerId));
    canvas.addEventListener("wheel", (event) => { event.preventDefault(); view.zoom(Math.exp(event.deltaY / 600)); }, { passive: false });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  onMove(event) {
    const { canvas, held, view } = this, before = held.get(event.pointerId);
    if (!before) return;
    const x = event.clientX - before.clientX, y = event.clientY - before.clientY;
    const right = x / canvas.clientHeight, down = y / canvas.clientHeight;
    this.moved += Math.abs(x) + Math.abs(y);
    const spread = () => { const [p, q] = held.values(); return Math.hypot(p.clientX - q.clientX, p.clientY - q.clientY); };
    if (held.size === 2) {
      const wide = spread();
      held.set(event.pointerId, event);
      view.zoom(wide / Math.max(1, spread()));
      view.pan(right / 2, down / 2);
      return;
    }
    if (event.buttons & 2 || event.shiftKey) view.pan(right, down);
    else if (this.moved > A_CLICK) view.orbit(2.5 * right, 2.5 * down);
    held.set(event.pointerId, event);
  }

  onClick(event) {
    const box = this.canvas.getBoundingClientRect();
    const pixel = this.view.pick(event.clientX - box.left, event.clientY - box.top);
    if (pixel) this.viewer.add(pixel);
    else this.viewer.refuse("There is no surface at this point.");
  }

  onKey(event) {
    if (event.key in TURNS) this.view.orbit(...TURNS[event.key]);
    else if (event.key === "+" || event.key === "=") this.view.zoom(0.9);
    else if (event.key === "-") this.view.zoom(1 / 0.9);
    else if (event.key === "0" || event.key === "Home") this.view.home();
    else return;
    event.preventDefault();
  }

  mark() {
    const { points, map, label } = this.viewer;
    drawMarks(this.$("room-marks"), points.map((point) => this.view.screen(map.point(...point))), label);
  }
}
