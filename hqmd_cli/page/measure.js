// What a depth map says: the value of a pixel, how sure it is, where it lies in space, and how far apart two pixels are.

import { decodePng16 } from "./png.js";

const MOST_16_BIT = 65535;
const REFERENCE_SIDE = 640; // pixels; the longer side that edge_rtol is meant for, see geometry/surfaces.py
const MOST_GRID = 4096; // of a Grid; a texture of every phone
const SURE_90 = 1.645; // standard deviations within which 9 of 10 lie

/** The depth of a photo: `depthPng` as bytes, `meta` as viewer.js describes it. */
export class DepthMap {
  static async read(depthPng, meta) {
    const map = new DepthMap();
    const png = await decodePng16(depthPng);
    Object.assign(map, { meta, numbers: png.data, width: png.width, height: png.height, camera: meta.camera });
    map.isMetric = meta.kind === "depth";
    map.error = meta.shape_error && await decodePng16(fromBase64(meta.shape_error.png));
    return map;
  }

  /** The value at a pixel: metres, or what meta.kind says; NaN where there is none. */
  at(x, y) { return this.value(this.numbers[y * this.width + x]); }

  value(number) {
    const { offset, per_unit: perUnit, no_depth: none } = this.meta.encoding;
    return number === none ? NaN : offset + number / perUnit;
  }

  /** True if the depth may be larger: 16 bits of millimetres end at 65.535 m. */
  isCut(x, y) { return this.meta.encoding.is_cut && this.numbers[y * this.width + x] === MOST_16_BIT; }

  /** The relative error of the shape at a pixel, a standard deviation; 0 if nobody knows. Bilinear, as the maps are. */
  shapeError(x, y) {
    if (!this.error) return 0;
    const { width, height, data } = this.error;
    const u = Math.min(Math.max((x + 0.5) * width / this.width - 0.5, 0), width - 1);
    const v = Math.min(Math.max((y + 0.5) * height / this.height - 0.5, 0), height - 1);
    const left = Math.floor(u), top = Math.floor(v);
    const right = Math.min(left + 1, width - 1), below = Math.min(top + 1, height - 1);
    const mix = (a, b, share) => a + (b - a) * share;
    const along = (row) => mix(data[row * width + left], data[row * width + right], u - left);
    return mix(along(top), along(below), v - top) / this.meta.shape_error.per_unit;
  }

  /** One standard deviation of a pixel's depth, in metres; null if nobody knows. */
  errorAt(x, y) {
    const scale = this.meta.scale_error;
    return scale === null ? null : this.at(x, y) * Math.hypot(scale, this.shapeError(x, y));
  }

  /** Where a pixel lies: [x, y, z] in metres with the axes of glTF, y up, the camera at 0 looking along -z. */
  point(x, y) {
    const z = this.at(x, y), { fx, fy, cx, cy } = this.camera;
    return [z * (x - cx) / fx, -z * (y - cy) / fy, -z];
  }

  /**
   * The distance of two pixels [x, y] in space: {metres, error, low, high}, `error` one standard deviation, `low` and
   * `high` the ends that 9 of 10 lie within; null where nobody knows. An error of the scale moves both points, and
   * changes the distance in proportion. One of the shape moves a point along its own ray, of which the part along the
   * line between the points counts. Errors are of the logarithm of depth, so the upper end is the farther one.
   */
  distance(a, b) {
    const p = this.point(...a), q = this.point(...b), scale = this.meta.scale_error;
    const apart = p.map((value, i) => value - q[i]), metres = Math.hypot(...apart);
    if (scale === null) return { metres, error: null, low: null, high: null };
    const along = (point) => dot(apart, point) / (metres || 1);
    const parts = [[metres, scale], [along(p), this.shapeError(...a)], [along(q), this.shapeError(...b)]];
    const end = (side) => Math.hypot(...parts.map(([length, error]) => length * Math.expm1(side * SURE_90 * error)));
    const error = Math.hypot(...parts.map(([length, error]) => length * error));
    return { metres, error, low: Math.max(0, metres - end(-1)), high: metres + end(1) };
  }

  /** Keep every n-th row and column, so that at most `most` pixels remain and they fit a texture; see Grid. */
  grid(most) {
    const { width, height } = this;
    return new Grid(this, Math.ceil(Math.max(Math.sqrt(width * height / most), Math.max(width, height) / MOST_GRID)));
  }
}

/** A thinned map for 3D. `numbers` is 0 where there is no surface: no depth, a jump, or an error that is too large. */
export class Grid {
  constructor(map, step) {
    Object.assign(this, { map, step, width: Math.ceil(map.width / step), height: Math.ceil(map.height / step) });
    const whole = new Uint16Array(this.width * this.height);
    for (let y = 0, i = 0; y < this.height; y++) {
      for (let x = 0; x < this.width; x++, i++) whole[i] = map.numbers[y * step * map.width + x * step];
    }
    const { fx, fy, cx, cy } = map.camera;
    this.camera = { fx: fx / step, fy: fy / step, cx: cx / step, cy: cy / step };
    this.numbers = this.solid(whole);
  }

  /** Leave out both sides of a jump to one of 8 neighbours, as geometry/surfaces.py does, and what is too unsure. */
  solid(whole) {
    const { width, height, map, step } = this, { edge_rtol: rtol, max_uncertainty: most } = map.meta;
    const factor = 1 + rtol * Math.min(1, REFERENCE_SIDE / Math.max(width, height));
    const numbers = new Uint16Array(whole.length);
    for (let y = 0, i = 0; y < height; y++) {
      for (let x = 0; x < width; x++, i++) {
        let least = MOST_16_BIT, greatest = 0;
        for (let v = Math.max(0, y - 1); v <= Math.min(height - 1, y + 1); v++) {
          for (let u = Math.max(0, x - 1); u <= Math.min(width - 1, x + 1); u++) {
            const number = whole[v * width + u];
            if (number < least) least = number;
            if (number > greatest) greatest = number;
          }
        }
        const jumps = greatest > whole[i] * factor || whole[i] > least * factor;
        const unsure = most !== null && map.shapeError(x * step, y * step) > most;
        numbers[i] = jumps || unsure ? 0 : whole[i];
      }
    }
    return numbers;
  }
}

const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);

/** Decode base64 to bytes; by chunks, since a map of 48 megapixels is a text of many megabytes. */
export function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const chunk = 4 * 2 ** 18, parts = [];
  for (let at = 0; at < text.length; at += chunk) {
    parts.push(Uint8Array.from(atob(text.slice(at, at + chunk)), (letter) => letter.charCodeAt(0)));
  }
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) { all.set(part, at); at += part.length; }
  return all;
}

/** Metres for people: "2.31 m", or "2.314 m" with 3 decimals. */
export function inMetres(value, decimals = value < 100 ? 2 : 0) { return `${value.toFixed(decimals)} m`; }

/** Metres with one standard deviation: "2.31 m ± 0.4". */
export function withError(value, error) {
  if (error === null) return inMetres(value);
  return `${inMetres(value)} ± ${error < 0.095 ? error.toFixed(2) : error < 9.5 ? error.toFixed(1) : error.toFixed(0)}`;
}
