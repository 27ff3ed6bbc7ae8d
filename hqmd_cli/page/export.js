// Files that the page makes: .npy, .ply and .glb. Text and numbers in, bytes out.

export const MOST_POINTS = 1_000_000; // of .ply and .glb; `hqmd predict -o x.glb` writes more
const TEXT = new TextEncoder();

/** The map as float32 .npy, (H, W); NaN where there is none. */
export function npyOf(map) {
  const header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${map.height}, ${map.width}), }`;
  const length = Math.ceil((10 + header.length + 1) / 64) * 64 - 10;
  const start = new Uint8Array([0x93, ...TEXT.encode("NUMPY"), 1, 0, length & 255, length >> 8]);
  const values = Float32Array.from(map.numbers, (number) => map.value(number));
  return [start, TEXT.encode(header.padEnd(length - 1) + "\n"), values];
}

/** Coloured points of a Grid as binary PLY. `rgb` is the colour of each pixel of the grid, (H * W * 4) bytes. */
export function plyOf(grid, rgb) {
  const kept = [...grid.numbers.keys()].filter((i) => grid.numbers[i]);
  const header = ["ply", "format binary_little_endian 1.0",
    ...Object.entries(facts(grid.map.camera)).map(([name, text]) => `comment ${name}: ${text}`),
    `element vertex ${kept.length}`, ...["x", "y", "z"].map((name) => `property float ${name}`),
    ...["red", "green", "blue"].map((name) => `property uchar ${name}`), "end_header\n"].join("\n");
  const body = new DataView(new ArrayBuffer(15 * kept.length));
  kept.forEach((i, n) => {
    pointOf(grid, i).forEach((value, axis) => body.setFloat32(15 * n + 4 * axis, value, true));
    for (let channel = 0; channel < 3; channel++) body.setUint8(15 * n + 12 + channel, rgb[4 * i + channel]);
  });
  return [TEXT.encode(header), body.buffer];
}

/**
 * The surface of a Grid as binary glTF 2.0, unlit, without triangles across jumps. `jpeg` (bytes) is its texture;
 * without one, `rgb` colours the vertices, linear as glTF wants them: sRGB numbers would look pale.
 */
export function glbOf(grid, jpeg, rgb) {
  const { width, height, numbers } = grid, index = new Int32Array(numbers.length).fill(-1), pixels = [], triangles = [];
  const vertex = (i) => { if (index[i] < 0) index[i] = pixels.push(i) - 1; return index[i]; };
  for (let y = 0; y + 1 < height; y++) {
    for (let x = 0; x + 1 < width; x++) {
      const i = y * width + x;
      for (const corners of [[i, i + width, i + 1], [i + 1, i + width, i + width + 1]]) {
        if (corners.every((corner) => numbers[corner])) triangles.push(...corners.map(vertex));
      }
    }
  }
  const points = new Float32Array(3 * pixels.length);
  pixels.forEach((i, n) => points.set(pointOf(grid, i), 3 * n));
  const skin = new Float32Array((jpeg ? 2 : 3) * pixels.length);
  pixels.forEach((i, n) => {
    if (jpeg) skin.set([((i % width) + 0.5) / width, (Math.floor(i / width) + 0.5) / height], 2 * n);
    else for (let channel = 0; channel < 3; channel++) skin[3 * n + channel] = linear(rgb[4 * i + channel] / 255);
  });
  return packed(grid, points, skin, Uint32Array.from(triangles), jpeg);
}

function packed(grid, points, skin, triangles, jpeg) {
  const [least, greatest] = [Math.min, Math.max].map((pick) => [0, 1, 2].map((axis) => {
    let end = points[axis];
    for (let i = axis; i < points.length; i += 3) end = pick(end, points[i]);
    return end;
  }));
  const parts = [points, skin, triangles, ...(jpeg ? [jpeg] : [])].map((part) => new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
  let at = 0;
  const views = parts.map((part, i) => {
    const view = { buffer: 0, byteOffset: at, byteLength: part.length, ...(i < 3 && { target: i < 2 ? 34962 : 34963 }) };
    at += Math.ceil(part.length / 4) * 4;
    return view;
  });
  const tree = {
    asset: { version: "2.0", generator: `hqmd ${grid.map.meta.version}`, extras: facts(grid.map.camera) },
    extensionsUsed: ["KHR_materials_unlit"],
    scene: 0, scenes: [{ nodes: [0] }], nodes: [{ mesh: 0 }],
    meshes: [{ primitives: [{ attributes: { POSITION: 0, [jpeg ? "TEXCOORD_0" : "COLOR_0"]: 1 }, indices: 2, material: 0 }] }],
    materials: [{
      doubleSided: true, extensions: { KHR_materials_unlit: {} },
      pbrMetallicRoughness: { metallicFactor: 0, roughnessFactor: 1, ...(jpeg && { baseColorTexture: { index: 0 } }) },
    }],
    ...(jpeg && { textures: [{ source: 0 }], images: [{ bufferView: 3, mimeType: "image/jpeg" }] }),
    accessors: [
      { bufferView: 0, componentType: 5126, count: points.length / 3, type: "VEC3", min: least, max: greatest },
      { bufferView: 1, componentType: 5126, count: points.length / 3, type: jpeg ? "VEC2" : "VEC3" },
      { bufferView: 2, componentType: 5125, count: triangles.length, type: "SCALAR" },
    ],
    bufferViews: views, buffers: [{ byteLength: at }],
  };
  const json = TEXT.encode(JSON.stringify(tree)), text = new Uint8Array(Math.ceil(json.length / 4) * 4).fill(0x20);
  text.set(json);
  const padded = parts.flatMap((part) => [part, new Uint8Array(-part.length & 3)]);
  const word = (...values) => new Uint8Array(Uint32Array.from(values).buffer);
  return [word(0x46546c67, 2, 28 + text.length + at, text.length, 0x4e4f534a), text, word(at, 0x004e4942), ...padded];
}

/** [x, y, z] of pixel i of a grid, as DepthMap.point. */
function pointOf(grid, i) {
  const z = grid.map.value(grid.numbers[i]), { fx, fy, cx, cy } = grid.camera;
  return [z * ((i % grid.width) - cx) / fx, -z * (Math.floor(i / grid.width) - cy) / fy, -z];
}

const linear = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);

/** Unit, axes and camera, as prediction/writers/space.py says them. */
function facts({ fx, fy, cx, cy, origin }) {
  const numbers = `fx ${fx.toFixed(2)}, fy ${fy.toFixed(2)}, cx ${cx.toFixed(1)}, cy ${cy.toFixed(1)} pixels`;
  return {
    unit: "metre", axes: "x right, y up, the camera at 0 looking along -z", camera: `${numbers} (${origin})`,
  };
}
