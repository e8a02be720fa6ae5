/* The picture's script: it gives the boxes their places, draws them, and answers to hands and keys.
 *
 * Columns and order come from layers.py; here each column is stacked, because boxes grow when they are unfolded.
 * All text goes into the page as text (textContent), never as HTML.
 */
(() => {
"use strict";
const data = JSON.parse(document.getElementById("lineage").textContent);
const WIDE = 184, HIGH = 46, GAP_X = 64, GAP_Y = 16, PAD = 14, HEAD = 40, INNER_X = 36, FOLDED = 60, BAND_Y = 90, EDGE = 100, CELL = 1200, LEGIBLE = .35;
const FONT = "system-ui,-apple-system,'Segoe UI',Roboto,Arial,sans-serif";
const picture = document.getElementById("picture"), map = document.getElementById("map");
const details = document.getElementById("details"), search = document.getElementById("search");
const found = document.getElementById("found");
const folded = new Set(), hits = new Set();
const view = {x: 0, y: 0, k: 1};
const shown = new Map(), letters = new Map();
let chosen = null, places = new Map(), bounds = null, lines = [], litWays = null, breaks = null;

const svg = (name, attributes, parent) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  if (parent) parent.append(made);
  return made;
};
const html = (name, text, parent, className) => {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = text;
  if (className) made.className = className;
  if (parent) parent.append(made);
  return made;
};
const isBox = id => typeof id === "string";
const boxOf = id => data.boxes[Number(id.slice(1))];
const outer = index => data.nodes[index].box || index;
const standsFor = index => { const box = data.nodes[index].box; return box && folded.has(box) ? box : index; };
const ruler = document.createElement("canvas").getContext("2d");
/* Fonts differ from browser to browser: what fits is measured. Cut in the middle, because labels of one kind begin alike,
   and what tells them apart stands at the end. */
function cut(text, wide, size = 13, weight = 600) {
  ruler.font = `${weight} ${size}px ${FONT}`;
  if (ruler.measureText(text).width <= wide) return text;
  const letters = [...text];
  let fits = 0, over = letters.length;
  const middle = many => letters.slice(0, Math.ceil(many / 2)).join("") + "…" +
    letters.slice(letters.length - Math.floor(many / 2)).join("");
  while (over - fits > 1) {
    const half = (fits + over) >> 1;
    if (ruler.measureText(middle(half)).width <= wide) fits = half; else over = half;
  }
  return middle(fits);
}
const several = (many, noun) => `${many} ${noun}${many === 1 ? "" : "s"}`;

/* Places */

const near = new Map();
for (const [late, , early] of data.edges) {
  const a = outer(late), b = outer(early);
  if (a === b) continue;
  for (const [one, other] of [[a, b], [b, a]]) {
    if (!near.has(one)) near.set(one, new Set());
    near.get(one).add(other);
  }
}

function inside(id) {
  const {columns} = boxOf(id);
  const tall = Math.max(...columns.map(column => column.length)) * (HIGH + GAP_Y) - GAP_Y;
  const spots = [];
  columns.forEach((column, index) => {
    const top = HEAD + (tall - (column.length * (HIGH + GAP_Y) - GAP_Y)) / 2;
    column.forEach((one, row) => spots.push([one, PAD + index * (WIDE + INNER_X), top + row * (HIGH + GAP_Y)]));
  });
  return {w: 2 * PAD + columns.length * (WIDE + INNER_X) - INNER_X, h: HEAD + tall + PAD, spots};
}

function sizeOf(id) {
  if (!isBox(id)) return {w: WIDE, h: HIGH};
  return folded.has(id) ? {w: WIDE + 16, h: FOLDED} : inside(id);
}

/* Keeps the order and the gaps, and otherwise goes as near as it can to where the neighbours are. */
function settle(column, wanted, size) {
  const down = [], up = [];
  column.forEach((id, row) => {
    const least = row ? down[row - 1] + size.get(column[row - 1]).h + GAP_Y : -Infinity;
    down.push(Math.max(wanted[row], least));
  });
  for (let row = column.length - 1; row >= 0; row--) {
    const most = row < column.length - 1 ? up[row + 1] - size.get(column[row]).h - GAP_Y : Infinity;
    up[row] = Math.min(wanted[row], most);
  }
  return down.map((value, row) => (value + up[row]) / 2);
}

/* Neighbours in other lines do not count: they would pull a line apart. */
function relax(size, top, line) {
  for (const column of data.columns) {
    let y = -column.reduce((sum, id) => sum + size.get(id).h + GAP_Y, 0) / 2;
    for (const id of column) { top.set(id, y); y += size.get(id).h + GAP_Y; }
  }
  const middle = id => top.get(id) + size.get(id).h / 2;
  for (let sweep = 0; sweep < 12; sweep++) {
    for (const column of sweep % 2 ? [...data.columns].reverse() : data.columns) {
      const wanted = column.map(id => {
        const others = [...(near.get(id) || [])].filter(one => line(one) === line(id)).map(middle);
        return others.length ? median(others) - size.get(id).h / 2 : top.get(id);
      });
      settle(column, wanted, size).forEach((value, row) => top.set(column[row], value));
    }
  }
}

function median(numbers) {
  const sorted = numbers.sort((a, b) => a - b), half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

function place() {
  const size = new Map(data.columns.flat().map(id => [id, sizeOf(id)])), top = new Map(), left = new Map();
  if (!breaks) { relax(size, top, () => 0); breaks = breaking(size, top); }
  const line = new Map();
  data.columns.forEach((column, index) => {
    for (const id of column) line.set(id, breaks.filter(start => start <= index).length);
  });
  relax(size, top, id => line.get(id));
  wrap(size, top, left);
  places = new Map();
  bounds = {x: Infinity, y: Infinity, right: -Infinity, bottom: -Infinity};
  for (const [id, one] of size) {
    const here = {x: left.get(id), y: top.get(id), w: one.w, h: one.h};
    places.set(id, here);
    for (const [index, dx, dy] of one.spots || []) {
      places.set(index, {x: here.x + dx, y: here.y + dy, w: WIDE, h: HIGH});
    }
    bounds.x = Math.min(bounds.x, here.x); bounds.right = Math.max(bounds.right, here.x + here.w);
    bounds.y = Math.min(bounds.y, here.y); bounds.bottom = Math.max(bounds.bottom, here.y + here.h);
  }
}

const widths = size => data.columns.map(column => Math.max(...column.map(id => size.get(id).w)) + GAP_X);
const spread = (column, size, top) => [Math.min(...column.map(id => top.get(id))),
  Math.max(...column.map(id => top.get(id) + size.get(id).h))];

/* A long history goes on in a new line, as text does. The number of lines is the one that shows most at once; it stays
   while boxes are folded and unfolded, so that nothing jumps. */
function breaking(size, top) {
  const {width, height} = area(), wide = widths(size);
  const total = wide.reduce((sum, one) => sum + one, 0);
  let best = [0], most = 0;
  for (let many = 1; many <= Math.min(40, data.columns.length); many++) {
    const starts = [0];
    let x = 0, widest = 0, tall = 0, low = Infinity, high = -Infinity;
    wide.forEach((one, index) => {
      if (x && x + one > total / many * 1.02) {
        tall += high - low + BAND_Y; low = Infinity; high = -Infinity;
        starts.push(index); x = 0;
      }
      const [above, below] = spread(data.columns[index], size, top);
      x += one; widest = Math.max(widest, x); low = Math.min(low, above); high = Math.max(high, below);
    });
    const scale = Math.min(width / widest, height / (tall + high - low), .8);
    if (scale > most * 1.05) { most = scale; best = starts; }
  }
  return best;
}

function wrap(size, top, left) {
  const wide = widths(size);
  let y = 0;
  breaks.forEach((start, line) => {
    const columns = data.columns.slice(start, breaks[line + 1]);
    const spreads = columns.map(column => spread(column, size, top));
    const low = Math.min(...spreads.map(([above]) => above)), high = Math.max(...spreads.map(([, below]) => below));
    let x = 0;
    columns.forEach((column, index) => {
      for (const id of column) { left.set(id, x); top.set(id, top.get(id) - low + y); }
      x += wide[start + index];
    });
    y += high - low + BAND_Y;
  });
}

/* Drawing */

/* Drawn once, and then only moved and scaled as a whole: to lay out thousands of letters anew at each frame is slow. */
const drawing = svg("svg", {id: "drawing"}, picture), root = svg("g", {});
function draw() {
  place();
  drawing.replaceChildren(); root.replaceChildren(); shown.clear(); letters.clear(); lines = [];
  const [wide, tall] = [bounds.right - bounds.x + 2 * EDGE, bounds.bottom - bounds.y + 2 * EDGE];
  for (const [name, value] of Object.entries({width: wide, height: tall,
    viewBox: `${bounds.x - EDGE} ${bounds.y - EDGE} ${wide} ${tall}`})) drawing.setAttribute(name, value);
  drawing.append(root);
  const grounds = svg("g", {}, root), ways = svg("g", {}, root);
  litWays = svg("g", {class: "lit"}, root);
  const boxes = svg("g", {}, root);
  for (const column of data.columns) {
    for (const id of column) {
      if (isBox(id) && !folded.has(id)) {
        drawBox(id, grounds, true);
        for (const index of boxOf(id).members) drawNode(index, boxes);
      } else if (isBox(id)) drawBox(id, boxes, false);
      else drawNode(id, boxes);
    }
  }
  drawWays(ways);
  drawMap();
  mark();
}

function frame(id, parent, className, said) {
  const {x, y, w, h} = places.get(id);
  const group = svg("g", {class: `box ${className}`, transform: `translate(${x} ${y})`, role: "button", tabindex: -1,
    "aria-label": said, "data-id": id}, parent);
  svg("title", {}, group).textContent = said;
  shown.set(String(id), group);
  return [group, w, h];
}

function drawNode(index, parent) {
  const node = data.nodes[index];
  const said = `${node.kind}: ${node.label}`;
  const [group, w, h] = frame(index, parent, `k-${node.kind}${node.start ? " start" : ""}`, said);
  svg("rect", {class: "body", width: w, height: h, rx: 9}, group);
  letters.set(index, () => {
    svg("text", {class: "small", x: 12, y: 18}, group).textContent = node.kind;
    svg("text", {x: 12, y: 35}, group).textContent = cut(node.label, w - 22);
  });
}

function drawBox(id, parent, open) {
  const box = boxOf(id), many = several(box.members.length, "node");
  const starts = box.members.some(index => data.nodes[index].start) ? " start" : "";
  const [group, w, h] = frame(id, parent, `run${open ? " open" : starts}`, `${box.label}, ${box.run}: ${many}`);
  if (!open) svg("rect", {class: "under", x: 5, y: 5, width: w, height: h, rx: 11}, group);
  svg("rect", {class: "body", width: w, height: h, rx: 11}, group);
  letters.set(id, () => {
    svg("text", {x: 14, y: 24}, group).textContent = cut(`${open ? "▾" : "▸"} ${box.label}`, w - 26);
    if (!open) svg("text", {class: "small", x: 14, y: 44}, group).textContent = cut(`${many} · ${box.run}`, w - 26, 11, 400);
  });
}

/* Those that end near each other are one path: thousands of single ones would take long to paint. */
function drawWays(parent) {
  const drawn = new Set(), near = new Map();
  for (const [late, , early] of data.edges) {
    const a = standsFor(late), b = standsFor(early);
    if (a === b || drawn.has(`${a}>${b}`)) continue;
    drawn.add(`${a}>${b}`);
    const to = places.get(a), from = places.get(b);
    const x1 = from.x + from.w, y1 = from.y + from.h / 2, x2 = to.x - 2, y2 = to.y + to.h / 2;
    const bend = x2 > x1 ? Math.max(24, (x2 - x1) * .45) : 90;
    const far = Math.abs(x2 - x1) > 3 * (WIDE + GAP_X) || Math.abs(y2 - y1) > 400;
    const way = `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`, tip = `M${x2 - 8} ${y2 - 4}l8 4-8 4z`;
    lines.push({a, b, way, tip});
    const where = `${far}/${Math.floor(x2 / CELL)}/${Math.floor(y2 / CELL)}`;
    if (!near.has(where)) near.set(where, {far, ways: [], tips: []});
    near.get(where).ways.push(way); near.get(where).tips.push(tip);
  }
  for (const {far, ways, tips} of near.values()) drawWay(ways.join(""), tips.join(""), parent, far ? "long" : "");
}

function drawWay(way, tip, parent, className) {
  svg("path", {class: `edge ${className}`, d: way}, parent);
  svg("path", {class: `tip ${className}`, d: tip}, parent);
}

function drawMap() {
  map.replaceChildren();
  const margin = 40;
  map.setAttribute("viewBox", [bounds.x - margin, bounds.y - margin, bounds.right - bounds.x + 2 * margin,
    bounds.bottom - bounds.y + 2 * margin].join(" "));
  for (const id of data.columns.flat()) {
    const {x, y, w, h} = places.get(id);
    const starts = isBox(id) ? boxOf(id).members.some(one => data.nodes[one].start) : data.nodes[id].start;
    svg("rect", {class: starts ? "start" : "all", x, y, width: w, height: h, rx: 12}, map);
  }
  svg("rect", {class: "view", "vector-effect": "non-scaling-stroke"}, map);
}

/* What is chosen, what was found */

function mark() {
  const own = chosen === null ? null : String(chosen);
  const lit = new Set();
  litWays.replaceChildren();
  for (const {a, b, way, tip} of lines) {
    if (own === null || String(a) !== own && String(b) !== own) continue;
    lit.add(String(a)).add(String(b));
    drawWay(way, tip, litWays, "");
  }
  const hit = new Set([...hits].map(index => String(standsFor(index))));
  for (const [id, group] of shown) {
    group.classList.toggle("chosen", id === own);
    group.classList.toggle("lit", lit.has(id));
    group.classList.toggle("hit", hit.has(id));
    group.setAttribute("tabindex", id === own ? 0 : -1);
  }
  root.classList.toggle("choosing", own !== null || hits.size > 0);
}

function choose(id, {focus = false, move = false} = {}) {
  chosen = id;
  mark();
  tell();
  if (id === null) return;
  if (move) center(id);
  if (focus) shown.get(String(id)).focus({preventScroll: true});
}

function goTo(index) {
  const box = data.nodes[index].box;
  if (box && folded.has(box)) { folded.delete(box); draw(); }
  choose(index, {move: true});
}

function toggle(id) {
  const before = places.get(id);
  if (folded.has(id)) folded.delete(id); else folded.add(id);
  draw();
  const after = places.get(id);
  view.x += (before.x - after.x) * view.k; view.y += (before.y - after.y) * view.k;
  look();
  choose(id, {focus: document.activeElement !== search});
}

/* The panel */

function tell() {
  details.replaceChildren();
  if (chosen === null) { if (hits.size) listHits(); else welcome(); }
  else if (isBox(chosen)) tellBox(chosen);
  else tellNode(chosen);
}

function welcome() {
  html("h2", "Details", details);
  html("p", "Click a box to see what is known of it. A box with ▸ is a run and what it made: click it to unfold it.",
    details);
  const starts = data.nodes.flatMap((node, index) => node.start ? [index] : []);
  html("h3", "Asked about", details);
  list(starts);
}

function list(indices) {
  const items = html("ul", null, details);
  for (const index of indices) {
    const item = html("li", null, items);
    html("span", data.nodes[index].kind, item, `chip k-${data.nodes[index].kind}`);
    item.append(" ");
    link(index, item);
  }
}

function link(index, parent) {
  const to = html("a", data.nodes[index].label, parent);
  to.href = "#";
  to.addEventListener("click", event => { event.preventDefault(); goTo(index); });
}

function listHits() {
  html("h2", several(hits.size, "hit"), details);
  list([...hits].slice(0, 100));
  if (hits.size > 100) html("p", `… and ${hits.size - 100} more`, details, "note");
}

function tellBox(id) {
  const box = boxOf(id);
  html("h2", box.label, details);
  html("p", box.run, details, "note");
  const button = html("button", folded.has(id) ? "Unfold" : "Fold", details);
  button.type = "button";
  button.addEventListener("click", () => toggle(id));
  html("h3", several(box.members.length, "node"), details);
  list(box.columns.flat().reverse());
}

function tellNode(index) {
  const node = data.nodes[index];
  html("span", node.kind, details, `chip k-${node.kind}`);
  html("h2", node.label, details);
  html("code", node.key, html("p", null, details, "note"));
  sentences("Came from", index, data.edges.filter(edge => edge[0] === index));
  sentences("What came of it", index, data.edges.filter(edge => edge[2] === index));
  values("Content (what it is)", node.content);
  values("Facts (what was seen of it)", node.facts);
}

function sentences(heading, index, edges) {
  if (!edges.length) return;
  html("h3", heading, details);
  const items = html("ul", null, details);
  for (const [late, kind, early] of edges) {
    const item = html("li", null, items);
    if (late === index) { item.append(`It ${data.verbs[kind]} `); link(early, item); }
    else { link(late, item); item.append(` ${data.verbs[kind]} it`); }
  }
}

function values(heading, rows) {
  if (!rows.length) return;
  html("h3", heading, details);
  const table = html("dl", null, details);
  for (const [name, value] of rows) { html("dt", name, table); html("dd", value, table); }
}

/* Looking around */

const area = () => picture.getBoundingClientRect();
let resting = 0;
function look() {
  const [left, top] = [view.x + (bounds.x - EDGE) * view.k, view.y + (bounds.y - EDGE) * view.k];
  drawing.style.transform = `translate(${left}px,${top}px) scale(${view.k})`;
  /* While it moves, what was painted is moved; once it rests, it is painted again at its new size. */
  drawing.style.willChange = "transform";
  clearTimeout(resting);
  resting = setTimeout(() => { drawing.style.willChange = ""; }, 250);
  const {width, height} = area();
  const window_ = {x: -view.x / view.k, y: -view.y / view.k, width: width / view.k, height: height / view.k};
  const rect = map.querySelector(".view");
  for (const [key, value] of Object.entries(window_)) rect.setAttribute(key, value);
  const all = window_.x <= bounds.x && window_.y <= bounds.y && window_.x + window_.width >= bounds.right
    && window_.y + window_.height >= bounds.bottom;
  map.toggleAttribute("hidden", all);
  if (view.k >= LEGIBLE) letter(window_);
}

/* Boxes get their letters when they are first seen, with those a screen around: thousands of letters take long to lay
   out, and a few at each frame would be painted again and again. */
function letter({x, y, width, height}) {
  const within = (id, many) => {
    const box = places.get(id), wide = many * width, high = many * height;
    return box.x < x + width + wide && box.x + box.w > x - wide && box.y < y + height + high && box.y + box.h > y - high;
  };
  if (![...letters.keys()].some(id => within(id, 0))) return;
  for (const [id, write] of letters) if (within(id, 1)) { write(); letters.delete(id); }
}

function zoom(factor, px, py) {
  const {width, height} = area();
  const cx = px === undefined ? width / 2 : px, cy = py === undefined ? height / 2 : py;
  const k = Math.min(3, Math.max(.02, view.k * factor));
  view.x = cx - (cx - view.x) * k / view.k; view.y = cy - (cy - view.y) * k / view.k; view.k = k;
  look();
}

function center(id) {
  const {x, y, w, h} = places.get(id), {width, height} = area();
  if (view.k < .45) view.k = .8;
  view.x = width / 2 - (x + w / 2) * view.k; view.y = height / 2 - (y + h / 2) * view.k;
  look();
}

function fitting() {
  const {width, height} = area();
  return Math.min(1.1, (width - 40) / (bounds.right - bounds.x), (height - 40) / (bounds.bottom - bounds.y));
}

function fit() {
  const {width, height} = area();
  view.k = Math.max(.02, fitting());
  view.x = (width - (bounds.x + bounds.right) * view.k) / 2;
  view.y = (height - (bounds.y + bounds.bottom) * view.k) / 2;
  look();
}

/* So far that no more than a margin beyond the picture's end is seen. */
function held(offset, from, to, wide) {
  if ((to - from) * view.k < wide - 60) return (wide - (from + to) * view.k) / 2;
  return Math.min(30 - from * view.k, Math.max(wide - 30 - to * view.k, offset));
}

/* All of it where it can be read; else what was asked about, with what is next to it. */
function begin() {
  const start = data.nodes.findIndex(node => node.start);
  if (fitting() >= .55 || start < 0) return fit();
  const {width, height} = area(), around = data.nodes[start].box;
  const id = around && places.get(around).w * .5 < width ? around : standsFor(start);
  view.k = Math.max(.5, Math.min(.85, (width - 60) / places.get(id).w));
  center(id);
  view.x = held(view.x, bounds.x, bounds.right, width);
  view.y = held(view.y, bounds.y, bounds.bottom + 90 / view.k, height);
  look();
}

/* Hands */

const fingers = new Map();
let moved = false, pressed = null;
picture.addEventListener("pointerdown", event => {
  fingers.set(event.pointerId, [event.clientX, event.clientY]);
  if (fingers.size === 1) { moved = false; pressed = event.target.closest("[data-id]"); }
});
picture.addEventListener("pointermove", event => {
  const before = fingers.get(event.pointerId);
  if (!before) return;
  const now = [event.clientX, event.clientY];
  const [dx, dy] = [now[0] - before[0], now[1] - before[1]];
  if (!moved && fingers.size === 1 && Math.hypot(dx, dy) < 5) return;
  if (!moved) { moved = true; picture.setPointerCapture(event.pointerId); }
  if (fingers.size === 1) { view.x += dx; view.y += dy; look(); }
  else {
    const [, other] = [...fingers].find(([id]) => id !== event.pointerId);
    const rect = area();
    const was = Math.hypot(before[0] - other[0], before[1] - other[1]) || 1;
    zoom(Math.hypot(now[0] - other[0], now[1] - other[1]) / was,
      (now[0] + other[0]) / 2 - rect.left, (now[1] + other[1]) / 2 - rect.top);
  }
  fingers.set(event.pointerId, now);
});
const lift = event => {
  if (!fingers.delete(event.pointerId) || moved || event.type === "pointercancel") return;
  if (!pressed) return choose(null);
  const id = pressed.dataset.id;
  if (!isBox(named(id))) choose(Number(id), {focus: true});
  else if (folded.has(id)) toggle(id);
  else choose(id, {focus: true});
};
picture.addEventListener("pointerup", lift);
picture.addEventListener("pointercancel", lift);
picture.addEventListener("wheel", event => {
  event.preventDefault();
  const rect = area();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? .05 : .0015)), event.clientX - rect.left, event.clientY - rect.top);
}, {passive: false});
const named = id => id.startsWith("g") ? id : Number(id);
const jump = event => {
  if (event.type === "pointermove" && !event.buttons) return;
  const spot = new DOMPoint(event.clientX, event.clientY).matrixTransform(map.getScreenCTM().inverse());
  const {width, height} = area();
  view.x = width / 2 - spot.x * view.k; view.y = height / 2 - spot.y * view.k;
  look();
};
map.addEventListener("pointerdown", jump);
map.addEventListener("pointermove", jump);

/* Keys */

const DIRECTIONS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
function step([dx, dy]) {
  const start = data.nodes.findIndex(node => node.start);
  if (chosen === null) return choose(start < 0 ? data.columns[0][0] : standsFor(start), {focus: true, move: true});
  const here = places.get(chosen), x = here.x + here.w / 2, y = here.y + here.h / 2;
  let best = null, least = Infinity;
  for (const id of shown.keys()) {
    const key = named(id), there = places.get(key);
    if (key === chosen) continue;
    const along = (there.x + there.w / 2 - x) * dx + (there.y + there.h / 2 - y) * dy;
    const aside = Math.abs((there.x + there.w / 2 - x) * dy) + Math.abs((there.y + there.h / 2 - y) * dx);
    if (along > 4 && along + 2.5 * aside < least) { best = key; least = along + 2.5 * aside; }
  }
  if (best !== null) choose(best, {focus: true, move: true});
}
picture.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const direction = DIRECTIONS[event.key];
  if (direction) step(direction);
  else if (event.key === "Enter" || event.key === " ") {
    if (chosen === null) step([0, 0]); else if (isBox(chosen)) toggle(chosen); else tell();
  }
  else if (event.key === "+" || event.key === "=") zoom(1.25);
  else if (event.key === "-") zoom(.8);
  else if (event.key === "0") fit();
  else if (event.key === "Escape") { choose(null); picture.focus(); }
  else return;
  event.preventDefault();
});
document.addEventListener("keydown", event => {
  if (event.key === "/" && document.activeElement !== search) { search.focus(); event.preventDefault(); }
});

/* Searching */

const texts = data.nodes.map(node =>
  [node.kind, node.label, node.key, ...node.content.flat(), ...node.facts.flat()].join("\n").toLowerCase());
let turn = -1;
function seek() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  hits.clear(); turn = -1; chosen = null;
  const fits = words.length ? data.nodes.map((_, index) => index).filter(index =>
    words.every(word => texts[index].includes(word))) : [];
  const called = index => data.nodes[index].label.toLowerCase().includes(words.join(" "));
  for (const index of [...fits.filter(called), ...fits.filter(index => !called(index))]) hits.add(index);
  found.textContent = words.length ? several(hits.size, "hit") : "";
  const hidden = new Set([...hits].map(index => data.nodes[index].box).filter(box => box && folded.has(box)));
  if (hidden.size && hidden.size <= 3) { hidden.forEach(box => folded.delete(box)); draw(); } else mark();
  if (hits.size) center(standsFor([...hits][0]));
  tell();
}
let waiting = 0;
search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(seek, 150); });
search.form.addEventListener("submit", event => {
  event.preventDefault();
  if (!hits.size) return;
  turn = (turn + 1) % hits.size;
  goTo([...hits][turn]);
});

/* Buttons */

const press = (name, act) => document.getElementById(name).addEventListener("click", act);
const foldAll = on => {
  folded.clear();
  if (on) data.boxes.forEach((_, index) => folded.add(`g${index}`));
  chosen = null; breaks = null;
  draw(); tell(); begin();
};
press("fit", fit);
press("fold", () => foldAll(true));
press("unfold", () => foldAll(false));
press("closer", () => zoom(1.25));
press("further", () => zoom(.8));
for (const name of ["fold", "unfold"]) document.getElementById(name).hidden = !data.boxes.length;
let touched = false;
for (const name of ["pointerdown", "keydown", "wheel", "input"]) {
  document.addEventListener(name, () => { touched = true; }, {capture: true, passive: true});
}
window.addEventListener("resize", () => {
  if (touched) return look();
  breaks = null;
  draw(); begin();
});

if (data.folded) {
  const asked = new Set(data.nodes.filter(node => node.start && node.box).map(node => node.box));
  data.boxes.forEach((_, index) => { if (!asked.has(`g${index}`)) folded.add(`g${index}`); });
}
draw(); tell(); begin();
document.documentElement.dataset.drawn = shown.size;
})();
