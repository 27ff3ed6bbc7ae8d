// Marks on a picture: the two measured points, the line between them and its length, and the cursor of the keyboard.

const SVG = "http://www.w3.org/2000/svg";
const LETTERS = "AB";

function add(parent, name, attributes, text = "") {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  return parent.appendChild(element);
}

/** Draw on an <svg>: `places` are [x, y] in its CSS pixels, null out of sight; `label` stands on the line. */
export function drawMarks(svg, places, label, cursor = null) {
  svg.replaceChildren();
  const [a, b] = places;
  if (cursor) {
    const [x, y] = cursor;
    const path = `M${x - 16},${y}h11m10,0h11M${x},${y - 16}v11m0,10v11`;
    for (const part of ["halo", "cursor"]) add(svg, "path", { class: part, d: path });
  }
  if (a && b) {
    for (const part of ["halo", "line"]) add(svg, "line", { class: part, x1: a[0], y1: a[1], x2: b[0], y2: b[1] });
  }
  places.forEach((place, i) => {
    if (!place) return;
    const group = add(svg, "g", { transform: `translate(${place[0]},${place[1]})` });
    add(group, "circle", { class: "ring", r: 7 });
    add(group, "circle", { class: "centre", r: 1.8 });
    const isAtTheEdge = place[0] > svg.clientWidth - 26;
    add(group, "text", { class: "letter", x: isAtTheEdge ? -22 : 12, y: 5 }, LETTERS[i]);
  });
  if (a && b && label) {
    const half = 4.2 * label.length + 10, within = (value, end, room) => Math.min(end - room, Math.max(room, value));
    const x = within((a[0] + b[0]) / 2, svg.clientWidth, half), y = within((a[1] + b[1]) / 2, svg.clientHeight, 14);
    const pill = add(svg, "g", { transform: `translate(${x},${y})` });
    add(pill, "rect", { class: "pill", x: -half, y: -13, width: 2 * half, height: 26, rx: 13 });
    add(pill, "text", { class: "length", y: 5 }, label);
  }
}
