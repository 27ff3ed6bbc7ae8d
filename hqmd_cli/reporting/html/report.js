"use strict";

/* A slider in every picture, a table that sorts, and a dialog with the picture that the address names. Texts are set as
   text only (textContent, value), so that a name is never markup. */

const figures = JSON.parse(document.querySelector("script.figures").textContent);
const dialog = document.querySelector("dialog");
const table = document.querySelector("table.every");
const body = table.tBodies[0];
const rows = [...body.rows]; // in the order of the dataset, however the table is sorted
const number = new Map(rows.map((row, i) => [row, i]));

// ---- the slider

function startWipe(picture) {
  const wipe = picture.querySelector(".wipe");
  const stage = wipe.querySelector(".stage");
  const slider = stage.querySelector("input");
  const layers = [...picture.querySelectorAll("img[data-layer]")]; // in the order of the options
  const [left, right] = ["left", "right"].map((side) => ({
    image: stage.querySelector("img." + side),
    select: wipe.querySelector("select." + side),
    get layer() {
      return layers[this.select.selectedIndex];
    },
  }));

  function show() {
    for (const side of [left, right]) {
      side.image.src = side.layer.src;
      side.image.alt = side.layer.alt;
    }
    move();
  }
  function move() {
    stage.style.setProperty("--at", slider.value + "%");
    const shares = `${slider.value} % ${left.layer.dataset.layer}, ${100 - slider.value} % ${right.layer.dataset.layer}`;
    slider.setAttribute("aria-valuetext", shares);
  }
  left.select.selectedIndex = 1; // truth
  right.select.selectedIndex = 2; // the first model's depth
  for (const { select } of [left, right]) select.addEventListener("change", show);
  slider.addEventListener("input", move);
  wipe.hidden = false;
  show();
}

// ---- the table

let sortedBy = { column: -1, descending: false };
let columns = []; // of the current view: { head, values }

function viewNamed(index) {
  const { models, metrics, heads, values } = figures;
  if (index < models.length) return metrics.map((_, m) => ({ head: heads[m], values: values[index][m] }));
  return models.map((model, i) => ({ head: `${model}: ${heads[index - models.length]}`, values: values[i][index - models.length] }));
}

function showView(index) {
  columns = viewNamed(index);
  rows.forEach((row, i) => {
    const name = row.cells[0];
    row.replaceChildren(name, ...columns.map((column) => cellOf(column.values[i])));
  });
  sortedBy = { column: -1, descending: false };
  const heads = ["picture", ...columns.map((column) => column.head)];
  table.tHead.rows[0].replaceChildren(...heads.map(headOf));
  body.append(...rows);
}

function cellOf(value) {
  const cell = document.createElement("td");
  cell.textContent = value === null ? "–" : value.toFixed(4);
  return cell;
}

function headOf(text, column) {
  const head = document.createElement("th");
  const button = document.createElement("button");
  head.scope = "col";
  button.type = "button";
  button.textContent = text;
  button.addEventListener("click", () => sortBy(column));
  head.append(button);
  return head;
}

function sortBy(column) {
  const descending = sortedBy.column === column && !sortedBy.descending;
  sortedBy = { column, descending };
  const sign = descending ? -1 : 1;
  const key = column === 0 ? (i) => rows[i].cells[0].textContent : (i) => columns[column - 1].values[i];
  const order = rows.map((_, i) => i).sort((i, j) => compare(key(i), key(j), sign));
  body.append(...order.map((i) => rows[i]));
  [...table.tHead.rows[0].cells].forEach((head, i) => {
    if (i === column) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  });
}

function compare(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null); // unknown figures come last in both directions
  if (typeof a === "string") return sign * a.localeCompare(b, "en", { numeric: true });
  return sign * (a - b);
}

// ---- the dialog

const holders = new Map(); // anchor -> the element with its picture
for (const holder of document.querySelectorAll("template[data-anchor], article[data-anchor]")) {
  holders.set(holder.dataset.anchor, holder);
}

function anchorInAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return ""; // a malformed % escape
  }
}

function follow() {
  const anchor = anchorInAddress();
  if (holders.has(anchor)) openPicture(anchor);
  else if (dialog.open) dialog.close();
}

function openPicture(anchor) {
  const holder = holders.get(anchor);
  const source = holder.content ? holder.content.querySelector("article") : holder;
  const picture = document.importNode(source, true);
  dialog.querySelector(".content").replaceChildren(picture);
  dialog.setAttribute("aria-label", "Picture " + picture.dataset.name);
  dialog.querySelector(".before").disabled = !neighbour(anchor, -1);
  dialog.querySelector(".after").disabled = !neighbour(anchor, 1);
  startWipe(picture);
  if (!dialog.open) dialog.showModal();
  if (!dialog.contains(document.activeElement)) dialog.querySelector(".close").focus(); // the button that had the focus got disabled
  dialog.scrollTop = 0;
}

function neighbour(anchor, step) {
  const shown = [...body.rows].map((row) => row.id).filter((id) => holders.has(id)); // as the table is sorted now
  return shown[shown.indexOf(anchor) + step];
}

function go(step) {
  const next = neighbour(anchorInAddress(), step);
  if (next === undefined) return;
  history.replaceState(null, "", "#" + encodeURIComponent(next)); // following the link would move the focus to the row
  openPicture(next);
}

dialog.querySelector(".before").addEventListener("click", () => go(-1));
dialog.querySelector(".after").addEventListener("click", () => go(1));
dialog.querySelector(".close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close(); // a click outside
});
dialog.addEventListener("close", () => {
  const row = document.getElementById(anchorInAddress());
  history.replaceState(null, "", "#");
  row?.querySelector("a")?.focus({ preventScroll: true });
});
addEventListener("keydown", (event) => {
  if (!dialog.open || event.target.matches("input, select")) return; // these use the arrow keys themselves
  if (event.key === "ArrowLeft") go(-1);
  if (event.key === "ArrowRight") go(1);
});
addEventListener("hashchange", follow);
body.addEventListener("click", (event) => {
  const row = event.target.closest("tr");
  if (row.classList.contains("shown") && !event.target.closest("a")) row.querySelector("a").click();
});

document.querySelectorAll("main article.picture").forEach(startWipe);
const view = document.querySelector("select.view");
view.addEventListener("change", () => showView(view.selectedIndex));
view.closest("p").hidden = figures.models.length < 2;
showView(0);
follow();
