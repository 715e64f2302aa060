"use strict";
const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));

/* Tables: every head becomes a button that sorts. */
function sortKey(cell) {
  const value = cell.dataset.value ?? cell.textContent.trim();
  return value === "" || Number.isNaN(Number(value)) ? value.toLowerCase() : Number(value);
}
function compare(a, b) {
  if (a === b) return 0;
  if (a === "") return 1;
  if (b === "") return -1;
  if (typeof a === typeof b) return a < b ? -1 : 1;
  return typeof a === "number" ? -1 : 1;
}
for (const table of all("table[data-sortable]")) {
  all("thead th", table).forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      all("thead th", table).forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const body = table.tBodies[0];
      const rows = Array.from(body.rows, (row) => [sortKey(row.cells[column]), row]);
      rows.sort((a, b) => {
        const order = compare(a[0], b[0]);
        return down && a[0] !== "" && b[0] !== "" ? -order : order;
      });
      body.append(...rows.map((pair) => pair[1]));
    });
  });
}
for (const form of all("form[data-filter]")) {
  const rows = Array.from(document.getElementById(form.dataset.filter).tBodies[0].rows);
  const text = form.querySelector("[data-text]");
  const verdict = form.querySelector("[data-verdict]");
  const apply = () => {
    const wanted = text.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const fits = (!verdict.value || row.dataset.verdict.split(" ").includes(verdict.value))
        && row.textContent.toLowerCase().includes(wanted);
      row.hidden = !fits;
      shown += fits ? 1 : 0;
    }
    form.querySelector("[data-count]").textContent = `${shown} of ${rows.length}`;
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
}

/* Folded parts open for a link that leads into them. */
function unfold() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let part = target && target.closest("section")?.querySelector(":scope > details") || target; part; part = part.parentElement) {
    if (part.tagName === "DETAILS") part.open = true;
  }
  if (target) target.scrollIntoView();
}
/* The way back leads to the number that was followed, not to the first of its cell. */
for (const link of all("a.cell[id]")) {
  link.addEventListener("click", () => {
    const row = document.getElementById(link.hash.slice(1));
    row?.querySelector(".back")?.setAttribute("href", `#${link.id}`);
  });
}
window.addEventListener("hashchange", unfold);
if (location.hash) unfold();

/* The map: points on a canvas from the numbers in the page. */
function unpack(text, bytes) {
  const raw = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  if (bytes === 1) return raw;
  const view = new DataView(raw.buffer);
  const read = bytes === 2 ? (i) => view.getUint16(2 * i, true) : (i) => view.getUint32(4 * i, true);
  return Uint32Array.from({ length: raw.length / bytes }, (_, i) => read(i));
}
function startMap(source) {
  const data = JSON.parse(source.textContent);
  const xs = unpack(data.x, 2), ys = unpack(data.y, 2);
  const layers = data.colourings.map((c) => ({ ...c, code: unpack(c.codes, c.bytes) }));
  const canvas = document.getElementById("map-canvas"), pen = canvas.getContext("2d");
  const select = document.getElementById("map-colouring");
  const legend = document.getElementById("map-legend"), tip = document.getElementById("map-tip");
  const full = 65535;
  let top = 0;
  let right = 0;
  for (let i = 0; i < xs.length; i += 1) { if (xs[i] > right) right = xs[i]; if (ys[i] > top) top = ys[i]; }
  let layer = layers[0], chosen = new Set(), zoom = 1, centre = [right / 2, top / 2];

  function scale() {
    const box = canvas.getBoundingClientRect();
    const fit = Math.min((box.width - 24) / (right || 1), (box.height - 24) / (top || 1)) * zoom;
    return { box, fit, at: (i) => [box.width / 2 + (xs[i] - centre[0]) * fit, box.height / 2 - (ys[i] - centre[1]) * fit] };
  }
  function medians() {
    const places = layer.values.map(() => [[], []]);
    for (let i = 0; i < xs.length; i += 1) {
      const group = places[layer.code[i]];
      if (group) { group[0].push(xs[i]); group[1].push(ys[i]); }
    }
    const middle = (list) => list.sort((a, b) => a - b)[list.length >> 1];
    return places.map((p) => (p[0].length ? [middle(p[0]), middle(p[1])] : null));
  }
  function draw() {
    const { box, fit } = scale(), ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(box.width * ratio);
    canvas.height = Math.round(box.height * ratio);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.fillStyle = "#ffffff";
    pen.fillRect(0, 0, box.width, box.height);
    const size = Math.max(1.2, Math.min(4, 230 / Math.sqrt(xs.length))) * Math.sqrt(zoom);
    const put = (i) => pen.fillRect(box.width / 2 + (xs[i] - centre[0]) * fit - size / 2, box.height / 2 - (ys[i] - centre[1]) * fit - size / 2, size, size);
    pen.globalAlpha = 0.85;
    if (chosen.size) {
      pen.fillStyle = "#dde1e6";
      for (let i = 0; i < xs.length; i += 1) if (!chosen.has(layer.code[i])) put(i);
    }
    for (let i = 0; i < xs.length; i += 1) {
      if (chosen.size && !chosen.has(layer.code[i])) continue;
      pen.fillStyle = layer.colours[layer.code[i]] ?? "#dde1e6";
      put(i);
    }
    pen.globalAlpha = 1;
    if (["lineage", "cell_type", "leiden"].includes(layer.column)) label(box, fit);
  }
  function label(box, fit) {
    pen.font = "600 12px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.lineWidth = 3.5;
    pen.strokeStyle = "rgba(255,255,255,.9)";
    pen.fillStyle = "#1f2933";
    layer.medians ??= medians();
    const taken = [];
    const order = layer.values.map((_, k) => k).sort((a, b) => layer.counts[b] - layer.counts[a]);
    for (const k of order) {
      const spot = layer.medians[k];
      if (!spot || (chosen.size && !chosen.has(k))) continue;
      const x = box.width / 2 + (spot[0] - centre[0]) * fit, y = box.height / 2 - (spot[1] - centre[1]) * fit;
      const half = pen.measureText(layer.values[k]).width / 2 + 2;
      if (taken.some((t) => Math.abs(t[0] - x) < t[2] + half && Math.abs(t[1] - y) < 14)) continue;
      taken.push([x, y, half]);
      pen.strokeText(layer.values[k], x, y);
      pen.fillText(layer.values[k], x, y);
    }
  }
  function list() {
    legend.replaceChildren(...layer.values.map((value, k) => {
      const button = document.createElement("button"), dot = document.createElement("i");
      const name = document.createElement("span"), count = document.createElement("span");
      button.type = "button";
      button.setAttribute("aria-pressed", "false");
      dot.style.background = layer.colours[k];
      name.textContent = layer.column === "timepoint" ? value.replaceAll("_", " ") : value;
      count.textContent = layer.counts[k].toLocaleString("en");
      count.className = "quiet";
      button.append(dot, name, count);
      button.addEventListener("click", () => {
        if (!chosen.delete(k)) chosen.add(k);
        button.setAttribute("aria-pressed", String(chosen.has(k)));
        draw();
      });
      const item = document.createElement("li");
      item.append(button);
      return item;
    }));
  }
  function nearest(event) {
    const { box, at } = scale(), x = event.clientX - box.left, y = event.clientY - box.top;
    let best = -1, distance = 64;
    for (let i = 0; i < xs.length; i += 1) {
      const [px, py] = at(i), d = (px - x) ** 2 + (py - y) ** 2;
      if (d < distance) { distance = d; best = i; }
    }
    return { best, x, y, box };
  }
  const change = (factor) => { zoom = Math.min(40, Math.max(1, zoom * factor)); if (zoom === 1) centre = [right / 2, top / 2]; draw(); };
  const move = (dx, dy) => { const { fit } = scale(); centre = [centre[0] - dx / fit, centre[1] + dy / fit]; draw(); };
  const reset = () => { zoom = 1; centre = [right / 2, top / 2]; draw(); };
  document.getElementById("map-in").addEventListener("click", () => change(1.6));
  document.getElementById("map-out").addEventListener("click", () => change(1 / 1.6));
  document.getElementById("map-reset").addEventListener("click", reset);
  select.addEventListener("change", () => {
    layer = layers.find((l) => l.column === select.value);
    chosen = new Set();
    list();
    draw();
  });
  const keys = { "+": () => change(1.6), "=": () => change(1.6), "-": () => change(1 / 1.6), 0: reset,
    ArrowLeft: () => move(40, 0), ArrowRight: () => move(-40, 0), ArrowUp: () => move(0, 40), ArrowDown: () => move(0, -40) };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    if (event.key.startsWith("Arrow") && zoom === 1) return;
    event.preventDefault();
    keys[event.key]();
  });
  let from = null;
  canvas.addEventListener("pointerdown", (event) => { from = zoom > 1 ? [event.clientX, event.clientY] : null; });
  window.addEventListener("pointerup", () => { from = null; });
  canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
  canvas.addEventListener("pointermove", (event) => {
    if (from) { move(event.clientX - from[0], event.clientY - from[1]); from = [event.clientX, event.clientY]; tip.hidden = true; return; }
    const { best, x, y, box } = nearest(event);
    tip.hidden = best < 0;
    if (best < 0) return;
    tip.textContent = layers.map((l) => `${l.title}: ${l.values[l.code[best]] ?? "–"}`).join("\n");
    tip.style.left = `${Math.min(x + 14, Math.max(0, box.width - 190))}px`;
    tip.style.top = `${y + 14}px`;
  });
  document.getElementById("map-download").addEventListener("click", () => {
    const quoted = (value) => {
      const safe = /^[=+\-@\t\r]/.test(value) && Number.isNaN(Number(value)) ? `'${value}` : value;
      return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
    };
    const lines = [["umap_1", "umap_2", ...layers.map((l) => l.column)].join(",")];
    const step = data.span / full;
    for (let i = 0; i < xs.length; i += 1) {
      const place = [(data.origin[0] + xs[i] * step).toFixed(3), (data.origin[1] + ys[i] * step).toFixed(3)];
      lines.push([...place, ...layers.map((l) => quoted(l.values[l.code[i]] ?? ""))].join(","));
    }
    const link = document.createElement("a");
    link.download = "map.csv";
    link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
  window.addEventListener("resize", draw);
  window.addEventListener("beforeprint", reset);
  list();
  draw();
}
const source = document.getElementById("map-data");
if (source) startMap(source);
