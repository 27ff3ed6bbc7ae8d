// A 16-bit grey PNG to its numbers, exactly. Not by a canvas, which keeps 8 bits, and which private modes add noise to.

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/** Decode PNG bytes, 16-bit grey and not interlaced: {width, height, data: Uint16Array}. Throws an Error otherwise. */
export async function decodePng16(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (SIGNATURE.some((byte, i) => bytes[i] !== byte)) throw new Error("the depth is not a PNG");
  let header = null;
  const pieces = [];
  for (let at = 8; at + 8 <= bytes.length;) {
    const length = view.getUint32(at), kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8)), from = at + 8;
    if (kind === "IHDR") {
      header = { width: view.getUint32(from), height: view.getUint32(from + 4) };
      if (bytes[from + 8] !== 16 || bytes[from + 9] !== 0 || bytes[from + 12] !== 0) {
        throw new Error("the depth is not a PNG of 16-bit grey");
      }
    } else if (kind === "IDAT") {
      pieces.push(bytes.subarray(from, from + length));
    }
    at = from + length + 4;
  }
  if (!header) throw new Error("the depth is not a whole PNG");
  const rows = await inflate(joined(pieces), header.height * (1 + 2 * header.width));
  return { ...header, data: unfiltered(rows, header.width, header.height) };
}

/** Undo the filters of rows of 16-bit grey: each row is a byte that names the filter, then 2 bytes a pixel. */
function unfiltered(rows, width, height) {
  const stride = 2 * width, data = new Uint16Array(width * height);
  let above = new Uint8Array(stride);
  for (let y = 0; y < height; y++) {
    const filter = rows[y * (stride + 1)];
    const row = rows.subarray(y * (stride + 1) + 1, (y + 1) * (stride + 1));
    for (let i = 0; i < stride; i++) {
      const left = i < 2 ? 0 : row[i - 2], up = above[i], corner = i < 2 ? 0 : above[i - 2];
      if (filter === 1) row[i] += left;
      else if (filter === 2) row[i] += up;
      else if (filter === 3) row[i] += (left + up) >> 1;
      else if (filter === 4) row[i] += nearestOf(left, up, corner);
    }
    for (let x = 0; x < width; x++) data[y * width + x] = (row[2 * x] << 8) | row[2 * x + 1];
    above = row;
  }
  return data;
}

function nearestOf(left, up, corner) { // PNG's Paeth predictor
  const guess = left + up - corner;
  const a = Math.abs(guess - left), b = Math.abs(guess - up), c = Math.abs(guess - corner);
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

function joined(pieces) {
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) { all.set(piece, at); at += piece.length; }
  return all;
}

/** Undo zlib; `size` is how many bytes come out. Browsers before 2023 lack DecompressionStream. */
async function inflate(bytes, size) {
  let out;
  if (typeof DecompressionStream === "undefined") {
    out = inflateHere(bytes, size);
  } else {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    out = new Uint8Array(await new Response(stream).arrayBuffer());
  }
  if (out.length !== size) throw new Error("the depth is not a whole PNG");
  return out;
}

const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]; // of the code lengths' code lengths

/** Inflate as RFC 1951 says, for browsers without DecompressionStream. */
export function inflateHere(bytes, size) {
  const out = new Uint8Array(size);
  let at = 2, held = 0, count = 0, to = 0, last = 0; // 2: behind zlib's header
  const bits = (n) => {
    while (count < n) { held |= bytes[at++] << count; count += 8; }
    const value = held & ((1 << n) - 1);
    held >>>= n; count -= n;
    return value;
  };
  const symbol = ({ counts, symbols }) => {
    for (let length = 1, code = 0, first = 0, index = 0; length < 16; length++) {
      code |= bits(1);
      if (code - first < counts[length]) return symbols[index + code - first];
      index += counts[length];
      first = (first + counts[length]) << 1;
      code <<= 1;
    }
    throw new Error("the depth is a damaged PNG");
  };
  while (!last) {
    last = bits(1);
    const kind = bits(2);
    if (kind === 0) { // stored
      count = held = 0;
      const length = bytes[at] | (bytes[at + 1] << 8);
      out.set(bytes.subarray(at + 4, at + 4 + length), to);
      at += 4 + length; to += length;
      continue;
    }
    if (kind === 3) throw new Error("the depth is a damaged PNG");
    const [literals, distances] = kind === 1 ? fixedCodes() : codesOf(bits, symbol);
    for (let value = symbol(literals); value !== 256; value = symbol(literals)) {
      if (value < 256) { out[to++] = value; continue; }
      const length = value < 265 ? value - 254 : value === 285 ? 258
        : ((4 + ((value - 265) & 3)) << ((value - 261) >> 2)) + 3 + bits((value - 261) >> 2);
      const far = symbol(distances), extra = (far - 2) >> 1;
      const distance = far < 4 ? far + 1 : ((2 + (far & 1)) << extra) + 1 + bits(extra);
      if (distance > to || to + length > size) throw new Error("the depth is a damaged PNG");
      for (let i = 0; i < length; i++, to++) out[to] = out[to - distance];
    }
  }
  return out.subarray(0, to);
}

function fixedCodes() {
  const lengths = Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8));
  return [code(lengths), code(new Array(30).fill(5))];
}

function codesOf(bits, symbol) {
  const literals = bits(5) + 257, distances = bits(5) + 1, given = bits(4) + 4;
  const ofLengths = new Array(19).fill(0);
  for (let i = 0; i < given; i++) ofLengths[ORDER[i]] = bits(3);
  const short = code(ofLengths), lengths = [];
  while (lengths.length < literals + distances) {
    const value = symbol(short);
    if (value < 16) lengths.push(value);
    else {
      const repeated = value === 16 ? lengths[lengths.length - 1] : 0;
      const times = value === 16 ? 3 + bits(2) : value === 17 ? 3 + bits(3) : 11 + bits(7);
      for (let i = 0; i < times; i++) lengths.push(repeated);
    }
  }
  return [code(lengths.slice(0, literals)), code(lengths.slice(literals))];
}

/** A canonical Huffman code: how many codes each length has, and their symbols in order. */
function code(lengths) {
  const counts = new Array(16).fill(0);
  for (const length of lengths) counts[length]++;
  const next = [0, 0];
  for (let length = 1; length < 15; length++) next[length + 1] = next[length] + counts[length];
  const symbols = new Array(lengths.length);
  lengths.forEach((length, i) => { if (length) symbols[next[length]++] = i; });
  counts[0] = 0;
  return { counts, symbols };
}
