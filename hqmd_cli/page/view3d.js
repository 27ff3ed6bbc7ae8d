// The room in 3D, by WebGL2: points or a mesh that the graphics card places in space from the 16-bit map itself.

const MOST_TEXTURE = 2048; // pixels of a side; every WebGL2 takes this
const START_TURN = 0.22, START_RISE = 0.1; // radians
const SWAY_MS = 1800, SLOW_FRAME_MS = 150; // a machine without graphics card shows the end alone

const VERTEX = `#version 300 es
precision highp float; precision highp int; precision highp usampler2D;
uniform usampler2D numbers;  // 0: no surface
uniform ivec2 size; uniform vec4 lens;  // fx, fy, cx, cy
uniform vec2 cut;  // metres, nearest and farthest shown
uniform mat4 toScreen; uniform float pointSize; uniform bool mesh;
out vec2 spot;
const ivec2 CORNERS[6] = ivec2[](ivec2(0, 0), ivec2(0, 1), ivec2(1, 0), ivec2(1, 0), ivec2(0, 1), ivec2(1, 1));
float metres(ivec2 pixel) { return float(texelFetch(numbers, pixel, 0).r) / 1000.0; }
bool shown(ivec2 pixel) { float z = metres(pixel); return z > 0.0 && z >= cut.x && z <= cut.y; }
void main() {
  ivec2 pixel; bool whole = true;
  if (mesh) {
    int cell = gl_VertexID / 6, corner = gl_VertexID % 6, first = corner < 3 ? 0 : 3;
    ivec2 from = ivec2(cell % (size.x - 1), cell / (size.x - 1));
    for (int i = 0; i < 3; i++) whole = whole && shown(from + CORNERS[first + i]);
    pixel = from + CORNERS[corner];
  } else {
    pixel = ivec2(gl_VertexID % size.x, gl_VertexID / size.x);
    whole = shown(pixel);
  }
  float z = metres(pixel);
  vec3 place = vec3(z * (float(pixel.x) - lens.z) / lens.x, -z * (float(pixel.y) - lens.w) / lens.y, -z);
  spot = (vec2(pixel) + 0.5) / vec2(size);
  gl_Position = whole ? toScreen * vec4(place, 1.0) : vec4(2.0, 2.0, 2.0, 1.0);
  gl_PointSize = max(1.0, pointSize * z / max(gl_Position.w, 1e-3));
}`;

const FRAGMENT = `#version 300 es
precision mediump float;
uniform sampler2D picture;
in vec2 spot; out vec4 colour;
void main() { colour = vec4(texture(picture, spot).rgb, 1.0); }`;

/** True if the browser offers WebGL2. */
export function hasWebGL() {
  return Boolean(document.createElement("canvas").getContext("webgl2"));
}

/** A Grid of measure.js on a canvas. `onDraw()` is called behind each frame, to place marks; see `screen`. */
export class View3D {
  constructor(canvas, grid, onDraw) {
    Object.assign(this, { canvas, grid, onDraw, mesh: true, cut: [0, Infinity], frame: 0, pictures: {}, shown: "" });
    this.gl = canvas.getContext("webgl2", { antialias: true, alpha: true });
    if (!this.gl) throw new Error("no WebGL2");
    const known = grid.numbers.filter((number) => number).sort();
    this.middle = (known[known.length >> 1] || 1000) / 1000; // metres
    this.farthest = (known[known.length - 1] || 1000) / 1000;
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => { this.prepare(); this.restore(); });
    this.prepare();
    this.home();
  }

  prepare() {
    const { gl, grid } = this;
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS) && !gl.isContextLost()) {
        throw new Error(gl.getShaderInfoLog(shader));
      }
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    gl.useProgram(program);
    this.at = new Proxy({}, { get: (kept, name) => (kept[name] ??= gl.getUniformLocation(program, name)) });
    gl.enable(gl.DEPTH_TEST);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R16UI, grid.width, grid.height, 0, gl.RED_INTEGER, gl.UNSIGNED_SHORT, grid.numbers);
    this.smooth(gl.NEAREST);
    const { fx, fy, cx, cy } = grid.camera;
    gl.uniform1i(this.at.numbers, 0);
    gl.uniform1i(this.at.picture, 1);
    gl.uniform2i(this.at.size, grid.width, grid.height);
    gl.uniform4f(this.at.lens, fx, fy, cx, cy);
  }

  smooth(how) {
    const { gl } = this;
    for (const side of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, side, how);
    for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE);
  }

  /** Colour by a picture, an ImageBitmap or a canvas of at most MOST_TEXTURE pixels a side, kept under a name. */
  colour(name, source) {
    this.pictures[name] = source;
    this.shown = name;
    const { gl } = this;
    gl.activeTexture(gl.TEXTURE1);
    gl.deleteTexture(this.texture);
    gl.bindTexture(gl.TEXTURE_2D, this.texture = gl.createTexture());
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, source);
    this.smooth(gl.LINEAR);
    this.draw();
  }

  restore() { if (this.shown) this.colour(this.shown, this.pictures[this.shown]); }

  /** Go back to where the photo was taken, a little aside. */
  home() {
    Object.assign(this, { swaying: false, turn: START_TURN, rise: START_RISE, away: this.middle, target: [0, 0, -this.middle] });
    this.draw();
  }

  /** Swing from the photo's own view to the side, once, so that one sees that the picture is a room. */
  sway() {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const began = performance.now();
    let before = began;
    this.swaying = true;
    const step = () => {
      if (!this.swaying) return;
      const now = performance.now(), isSlow = now - before > SLOW_FRAME_MS;
      const share = isSlow ? 1 : Math.min(1, (now - began) / SWAY_MS), eased = share * share * (3 - 2 * share);
      before = now;
      this.turn = START_TURN * Math.sin(eased * 2.5 * Math.PI);
      this.rise = START_RISE * eased;
      this.draw();
      if (share < 1) requestAnimationFrame(step);
    };
    step();
  }

  orbit(right, down) {
    this.swaying = false;
    this.turn -= right;
    this.rise = Math.min(1.55, Math.max(-1.55, this.rise + down));
    this.draw();
  }

  zoom(factor) {
    this.swaying = false;
    this.away = Math.min(20 * this.farthest, Math.max(0.02 * this.middle, this.away * factor));
    this.draw();
  }

  /** Move sideways, by shares of the height of the canvas. */
  pan(right, down) {
    this.swaying = false;
    const [side, up] = this.axes(), reach = 2 * this.away * this.halfHeight();
    this.target = this.target.map((value, i) => value - right * reach * side[i] + down * reach * up[i]);
    this.draw();
  }

  draw() {
    this.frame ||= requestAnimationFrame(() => { this.frame = 0; this.render(); });
  }

  axes() {
    const [st, ct, sr, cr] = [Math.sin(this.turn), Math.cos(this.turn), Math.sin(this.rise), Math.cos(this.rise)];
    return [[ct, 0, -st], [-st * sr, cr, -ct * sr], [st * cr, sr, ct * cr]]; // right, up, towards the viewer
  }

  /** The tangent of half the vertical angle: the photo fits into the canvas. */
  halfHeight() {
    const { width, height, camera } = this.grid, aspect = this.canvas.clientWidth / this.canvas.clientHeight || 1;
    return Math.max(height / (2 * camera.fy), width / (2 * camera.fx) / aspect);
  }

  /** The matrix from space to the screen, column after column. */
  matrix() {
    const axes = this.axes(), eye = this.target.map((value, i) => value + this.away * axes[2][i]);
    const half = this.halfHeight(), aspect = this.canvas.clientWidth / this.canvas.clientHeight || 1;
    const far = this.away + 4 * this.farthest, near = Math.max(far / 20000, 0.005 * this.away);
    const scale = [1 / (half * aspect), 1 / half];
    const rows = [0, 1].map((i) => [...axes[i], -dot3(axes[i], eye)].map((value) => value * scale[i]));
    const depth = [...axes[2], -dot3(axes[2], eye)]; // negative in front of the viewer
    rows.push(depth.map((value, i) => (value * (far + near) + (i === 3 ? 2 * far * near : 0)) / (near - far)));
    rows.push(depth.map((value) => -value));
    return [0, 1, 2, 3].flatMap((column) => rows.map((row) => row[column]));
  }

  render() {
    const { gl, canvas, grid } = this, ratio = Math.min(devicePixelRatio || 1, 2);
    const wide = Math.round(canvas.clientWidth * ratio), high = Math.round(canvas.clientHeight * ratio);
    if (!wide || !high || gl.isContextLost()) return;
    if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
    gl.viewport(0, 0, wide, high);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.uniformMatrix4fv(this.at.toScreen, false, this.matrix());
    gl.uniform2f(this.at.cut, this.cut[0], Math.min(this.cut[1], 1e6));
    gl.uniform1i(this.at.mesh, this.mesh ? 1 : 0);
    gl.uniform1f(this.at.pointSize, 1.3 * high / (2 * this.halfHeight()) / grid.camera.fy);
    if (this.mesh) gl.drawArrays(gl.TRIANGLES, 0, 6 * (grid.width - 1) * (grid.height - 1));
    else gl.drawArrays(gl.POINTS, 0, grid.width * grid.height);
    this.onDraw();
  }

  /** Where a point in space is on the canvas, in CSS pixels from its left top: [x, y, distance]; null behind us. */
  screen(point, matrix = this.matrix()) {
    const [x, y, , w] = [0, 1, 2, 3].map((row) => (
      matrix[row] * point[0] + matrix[row + 4] * point[1] + matrix[row + 8] * point[2] + matrix[row + 12]));
    if (w <= 0) return null;
    return [(x / w + 1) / 2 * this.canvas.clientWidth, (1 - y / w) / 2 * this.canvas.clientHeight, w];
  }

  /** The pixel [x, y] of the whole map that is seen at a place of the canvas; null if nothing is near it. */
  pick(left, top, reach = 14) {
    const { grid } = this, { fx, fy, cx, cy } = grid.camera, matrix = this.matrix();
    let best = null, least = Infinity;
    for (let i = 0; i < grid.numbers.length; i++) {
      const z = grid.numbers[i] / 1000, x = i % grid.width, y = (i - x) / grid.width;
      if (!z || z < this.cut[0] || z > this.cut[1]) continue;
      const seen = this.screen([z * (x - cx) / fx, -z * (y - cy) / fy, -z], matrix);
      if (!seen) continue;
      const off = Math.hypot(seen[0] - left, seen[1] - top);
      if (off > reach) continue;
      const cost = seen[2] * (1 + off / 40); // the nearest to the viewer, unless another is much closer to the pointer
      if (cost < least) [least, best] = [cost, [x * grid.step, y * grid.step]];
    }
    return best;
  }

  close() {
    this.swaying = false;
    cancelAnimationFrame(this.frame);
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

const dot3 = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

/** An <img> as a picture for `colour`: upright, and no side longer than MOST_TEXTURE. Rejects if it cannot be shown. */
export async function pictureFor(image) {
  await image.decode();
  const share = Math.min(1, MOST_TEXTURE / Math.max(image.naturalWidth, image.naturalHeight));
  if (share === 1) return image;
  return createImageBitmap(image, {
    resizeWidth: Math.max(1, Math.round(image.naturalWidth * share)),
    resizeHeight: Math.max(1, Math.round(image.naturalHeight * share)), resizeQuality: "high",
  });
}
