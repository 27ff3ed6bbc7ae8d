// A depth map in colours: tables of 256 colours from far to near, as visualization/colormap.py paints them.

import { fromBase64 } from "./measure.js";

const NO_DEPTH_GREY = 128;
const MOST_CANVAS = 2048; // of the canvas: iOS refuses more than 16.7 megapixels
const BINS = 96;

/** The colours of a DepthMap: `colormap` is a name in meta.colormaps, `range` the values of the nearest and farthest. */
export class Colours {
  constructor(map) {
    this.map = map;
    this.reset();
  }

  reset() {
    this.colormap = this.map.meta.colormap;
    this.range = [...this.map.meta.range];
  }

  table() { return fromBase64(this.map.meta.colormaps[this.colormap]); }

  /** 0..255 for a value: 255 is near. */
  shade(value) {
    const [near, far] = this.range;
    return Math.round(255 * (1 - Math.min(1, Math.max(0, (value - near) / (far - near || 1e-6)))));
  }

  /** Paint the map on a canvas, thinned to MOST_CANVAS. */
  paint(canvas) {
    const { map } = this, step = Math.ceil(Math.max(map.width, map.height) / MOST_CANVAS);
    const width = Math.ceil(map.width / step), height = Math.ceil(map.height / step);
    Object.assign(canvas, { width, height });
    const pixels = this.of({ step, width, height });
    canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
  }

  /** The colours of every step-th row and column, (height * width * 4) bytes. */
  of({ step, width, height }) {
    const { map } = this, table = this.table(), pixels = new Uint8ClampedArray(4 * width * height).fill(255);
    for (let y = 0, to = 0; y < height; y++) {
      for (let x = 0; x < width; x++, to += 4) {
        const value = map.at(x * step, y * step), from = 3 * this.shade(value);
        for (let i = 0; i < 3; i++) pixels[to + i] = Number.isNaN(value) ? NO_DEPTH_GREY : table[from + i];
      }
    }
    return pixels;
  }

  /** Count how many pixels have which value: {from, to, counts}, over all values; about 100,000 pixels are looked at. */
  histogram() {
    const { map } = this, [from, to] = [map.meta.near, map.meta.far].sort((a, b) => a - b);
    const counts = new Array(BINS).fill(0), step = Math.max(1, Math.floor(map.numbers.length / 1e5));
    for (let i = 0; i < map.numbers.length; i += step) {
      const value = map.value(map.numbers[i]);
      if (Number.isNaN(value)) continue;
      counts[Math.min(BINS - 1, Math.max(0, Math.floor((value - from) / (to - from || 1) * BINS)))]++;
    }
    return { from, to, counts };
  }

  /** Draw the histogram in its colours, above a strip of all of them; small values left. */
  paintHistogram(canvas) {
    const { from, to, counts } = this.histogram(), table = this.table(), most = Math.max(...counts, 1);
    const strip = 10, high = 56, wide = 4;
    Object.assign(canvas, { width: BINS * wide, height: high + strip });
    const pen = canvas.getContext("2d");
    counts.forEach((count, i) => {
      const shade = this.shade(from + (i + 0.5) / BINS * (to - from));
      pen.fillStyle = `rgb(${table.subarray(3 * shade, 3 * shade + 3).join(" ")})`;
      const tall = Math.round(Math.sqrt(count / most) * (high - 2));
      pen.fillRect(i * wide, high - tall, wide - 1, tall);
      pen.fillRect(i * wide, high, wide, strip);
    });
  }
}
