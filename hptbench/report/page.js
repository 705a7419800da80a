"use strict";
// Draws the figures of a report (hptbench/plots/figure.py) and its trial table. No library, no network.
(() => {
  const $ = (id) => document.getElementById(id);
  const svgNS = "http://www.w3.org/2000/svg";
  const DASHES = ["", "6 2", "1.5 2", "5 2 1.5 2"], COLOURS = 7, FIRST = 12, FIRST_BIG = 4, ROWS = 2000;
  const VIRIDIS = ["#440154", "#3b528b", "#21918c", "#5ec962", "#fde725"];
  const hidden = new Set();
  let methods = [], task = "";

  async function unpack(id) {
    const text = $(id).textContent.trim();
    if (!text) return null;
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  function node(tag, attributes, ...children) {
    const out = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) out.setAttribute(name, value);
    out.append(...children);
    return out;
  }
  function shape(tag, attributes, text) {
    const out = document.createElementNS(svgNS, tag);
    for (const name in attributes) out.setAttribute(name, attributes[name]);
    if (text !== undefined) out.textContent = text;
    return out;
  }

  const label = (series) => (series === "default" ? "default configuration" : series);
  const colour = (series) => {
    const i = methods.indexOf(series);
    return i < 0 ? "var(--grey)" : `var(--m${i % COLOURS})`;
  };
  const dash = (series) => {
    const i = methods.indexOf(series);
    return i < 0 ? (series === "default" ? "5 3" : "") : DASHES[Math.floor(i / COLOURS) % DASHES.length];
  };
  function number(v) {
    if (v === null || v === undefined) return "–";
    const size = Math.abs(v);
    if (size !== 0 && (size < 1e-3 || size >= 1e6)) return v.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e");
    return String(+v.toPrecision(4));
  }
  function viridis(t) {
    const at = Math.min(Math.max(t, 0), 1) * (VIRIDIS.length - 1), i = Math.min(Math.floor(at), VIRIDIS.length - 2);
    const [a, b] = [VIRIDIS[i], VIRIDIS[i + 1]].map((h) => [1, 3, 5].map((k) => parseInt(h.slice(k, k + 2), 16)));
    const rgb = a.map((v, k) => Math.round(v + (b[k] - v) * (at - i)));
    return { css: `rgb(${rgb})`, dark: 0.3 * rgb[0] + 0.6 * rgb[1] + 0.1 * rgb[2] < 128 };
  }
  function swatch(series) {
    const svg = shape("svg", { class: "swatch", viewBox: "0 0 20 10", "aria-hidden": "true" });
    svg.append(shape("line", { x1: 0, x2: 20, y1: 6, y2: 6, stroke: colour(series), "stroke-width": 3, "stroke-dasharray": dash(series) }));
    return svg;
  }

  // scales

  function domain(axis, values) {
    const n = axis.names.length;
    if (axis.scale === "category") return [-0.5, n - 0.5];
    const good = values.filter((v) => v !== null && v !== undefined && (axis.scale !== "log" || v > 0));
    if (!good.length) return axis.scale === "log" ? [0.1, 1] : [0, 1];
    let low = Infinity, high = -Infinity;
    for (const v of good) { if (v < low) low = v; if (v > high) high = v; }
    if (axis.scale === "log") {
      const room = high > low ? (high / low) ** 0.05 : 2;
      return [low / room, high * room];
    }
    const room = high > low ? 0.06 * (high - low) : Math.abs(high) * 0.1 || 1;
    return [low - room, high + room];
  }
  function place(axis, [low, high], from, to) {
    const f = axis.scale === "log" ? Math.log : (v) => v;
    const a = f(low), b = f(high);
    return (v) => from + ((f(Math.max(v, axis.scale === "log" ? low / 10 : -Infinity)) - a) / (b - a)) * (to - from);
  }
  function ticks(axis, [low, high], most) {
    if (axis.scale === "category") return axis.names.map((_, i) => i);
    const out = [];
    if (axis.scale === "log") {
      const decades = Math.log10(high / low), every = Math.ceil(decades / most);
      for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++)
        for (const m of decades < 2.2 ? [1, 2, 5] : [1])
          if (e % every === 0 && m * 10 ** e >= low && m * 10 ** e <= high) out.push(m * 10 ** e);
      if (out.length > 1) return out;
      out.length = 0;
    }
    const rough = (high - low) / most, ten = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * ten).find((s) => s >= rough);
    for (let v = Math.ceil(low / step) * step; v <= high; v += step) if (axis.scale !== "log" || v > 0) out.push(+v.toPrecision(12));
    return out;
  }

  // a panel

  const short = (text, n) => (text.length > n ? text.slice(0, n - 1) + "…" : text);
  const visible = (panel) => panel.marks.filter((m) => !hidden.has(m.series));

  function draw(panel, alt) {
    const { x: ax, y: ay } = panel, marks = visible(panel), cells = panel.marks.some((m) => m.kind === "cells");
    const names = ay.scale === "category" ? Math.min(Math.max(...ay.names.map((s) => s.length), 4), 26) : 7;
    const turned = ax.scale === "category";
    const left = ay.scale === "category" ? 14 + 6.3 * names : 52;
    const foot = turned ? 14 + 4.6 * Math.min(Math.max(...ax.names.map((s) => s.length), 4), 22) : 36;
    const inner = cells ? ax.names.length * 62 : turned ? Math.max(360 - left, ax.names.length * 44) : 360 - left - 12;
    const last = turned ? 5.2 * Math.min(ax.names[ax.names.length - 1].length, 22) : 0; // of the turned label at the right
    const width = left + inner + Math.max(12, turned ? last - inner / ax.names.length / 2 + 16 : 0);
    const head = panel.title ? 24 : 8;
    const tall = ay.scale === "category" ? Math.max(cells ? 40 : 90, ay.names.length * 20) : 190;
    const height = head + tall + foot;
    const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: "0",
      "aria-label": `${panel.title ? panel.title + ". " : ""}${alt} Arrow keys read values.` });
    if (turned) { svg.setAttribute("width", width); svg.setAttribute("height", height); }
    const all = (keys) => marks.flatMap((m) => keys.flatMap((k) => (m[k] ? (k === "ys" ? m.ys.flat() : m[k]) : [])));
    const dots = marks.some((m) => m.kind === "dots"), bars = marks.some((m) => m.kind === "bars");
    const xs = all(["x", "x2", "start"]).concat(dots ? all(["low", "high"]) : [], bars && ax.scale === "linear" && !all(["start"]).length ? [0] : []);
    const dx = bars && xs.every((v) => !v) ? [0, 1] : domain(ax, xs), dy = domain(ay, all(["y", "y2", "ys"]));
    const X = place(ax, dx, left, left + inner);
    const Y = ay.scale === "category" ? place(ay, dy, head, head + tall) : place(ay, dy, head + tall, head);
    const clip = `c${draw.n = (draw.n || 0) + 1}`;
    const box = { x: left, y: head, width: inner, height: tall };
    const clipper = shape("clipPath", { id: clip });
    clipper.append(shape("rect", box));
    svg.append(clipper);
    if (panel.title) svg.append(shape("text", { x: 2, y: 14, class: "title" }, short(panel.title, Math.floor(width / 7.2))));
    if (!cells) {
      for (const t of ticks(ax, dx, 5)) svg.append(shape("line", { class: "grid", x1: X(t), x2: X(t), y1: head, y2: head + tall }));
      for (const t of ticks(ay, dy, 5)) svg.append(shape("line", { class: "grid", x1: left, x2: left + inner, y1: Y(t), y2: Y(t) }));
    }
    for (const t of ticks(ax, dx, 5)) {
      if (turned) svg.append(shape("text", { x: X(t), y: head + tall + 12, transform: `rotate(30 ${X(t)} ${head + tall + 12})` }, short(ax.names[t], 22)));
      else svg.append(shape("text", { x: X(t), y: head + tall + 14, "text-anchor": "middle" }, number(t)));
    }
    for (const t of ticks(ay, dy, 5))
      svg.append(shape("text", { x: left - 6, y: Y(t) + 4, "text-anchor": "end" }, ay.scale === "category" ? short(ay.names[t], 26) : number(t)));
    if (!turned) svg.append(shape("text", { x: left + inner / 2, y: height - 5, "text-anchor": "middle" }, short(ax.label, 52)));
    if (ay.scale !== "category" && ay.label)
      svg.append(shape("text", { x: 0, y: 0, "text-anchor": "middle", transform: `translate(11 ${head + tall / 2}) rotate(-90)` }, short(ay.label, 34)));
    const layer = shape("g", { "clip-path": `url(#${clip})` });
    svg.append(layer);
    const hits = [], lines = [];
    for (const m of [...marks].sort((a, b) => b.faint - a.faint)) DRAW[m.kind](m, layer, X, Y, hits, lines);
    svg.append(shape("line", { class: "axis", x1: left, x2: left + inner, y1: head + tall, y2: head + tall }));
    watch(svg, { X, Y, hits, lines, box, width });
    return svg;
  }

  const DRAW = {
    line(m, layer, X, Y, hits, lines, step) {
      const at = m.x.map((v, i) => [v, m.y[i], m.low && m.low[i], m.high && m.high[i]]).filter((p) => p[0] !== null && p[1] !== null);
      if (!at.length) return;
      const path = (k) => at.map((p, i) => `${i ? (step ? `H${X(p[0]).toFixed(1)}V` : `L${X(p[0]).toFixed(1)} `) : `M${X(p[0]).toFixed(1)} `}${Y(p[k]).toFixed(1)}`).join("");
      if (m.low && at.every((p) => p[2] !== null && p[3] !== null)) {
        const back = [...at].reverse().map((p, i, r) => (step && i ? `L${X(r[i - 1][0]).toFixed(1)} ${Y(p[2]).toFixed(1)}` : "") + `L${X(p[0]).toFixed(1)} ${Y(p[2]).toFixed(1)}`).join("");
        layer.append(shape("path", { d: path(3) + back + "Z", fill: colour(m.series), opacity: 0.1 }));
      }
      layer.append(shape("path", { d: path(1), fill: "none", stroke: colour(m.series), "stroke-width": m.faint ? 0.8 : 2,
        opacity: m.faint ? 0.5 : 1, "stroke-dasharray": dash(m.series), "stroke-linejoin": "round" }));
      if (at.length === 1) layer.append(shape("circle", { cx: X(at[0][0]), cy: Y(at[0][1]), r: 3.5, fill: colour(m.series) }));
      if (!m.faint) lines.push({ series: m.series, at, step });
    },
    step(m, layer, X, Y, hits, lines) { DRAW.line(m, layer, X, Y, hits, lines, true); },
    dots(m, layer, X, Y, hits) {
      m.x.forEach((x, i) => {
        if (x === null || m.y[i] === null) return;
        if (m.low && m.low[i] !== null) layer.append(shape("line", { x1: X(m.low[i]), x2: X(m.high[i]), y1: Y(m.y[i]), y2: Y(m.y[i]), stroke: colour(m.series), "stroke-width": 4, opacity: 0.35 }));
        layer.append(shape("circle", { cx: X(x), cy: Y(m.y[i]), r: m.faint ? 1.7 : 4, fill: colour(m.series), opacity: m.faint ? 0.5 : 0.85 }));
        if (!m.faint) hits.push({ x: X(x), y: Y(m.y[i]), text: m.text ? m.text[i] : `${label(m.series)}: ${number(x)}` });
      });
    },
    bars(m, layer, X, Y, hits) {
      const half = Math.abs(Y(1) - Y(0)) * 0.36;
      m.x.forEach((x, i) => {
        const a = X(m.start ? m.start[i] : 0), b = X(x);
        layer.append(shape("rect", { x: Math.min(a, b), y: Y(m.y[i]) - half, width: Math.max(Math.abs(b - a) - (m.start ? 0.4 : 0), 0.6), height: 2 * half, fill: m.series ? colour(m.series) : "var(--accent)", opacity: 0.85 }));
        hits.push({ x: m.start ? (a + b) / 2 : b, y: Y(m.y[i]), text: m.text ? m.text[i] : number(x) });
      });
    },
    segments(m, layer, X, Y, hits) {
      const ok = m.x.map((_, i) => i).filter((i) => [m.x, m.y, m.x2, m.y2].every((c) => c[i] !== null));
      const d = ok.map((i) => `M${X(m.x[i]).toFixed(1)} ${Y(m.y[i]).toFixed(1)}L${X(m.x2[i]).toFixed(1)} ${Y(m.y2[i]).toFixed(1)}`).join("");
      layer.append(shape("path", { d, fill: "none", stroke: colour(m.series), "stroke-width": m.faint ? 1 : 2.2, opacity: m.faint ? 0.5 : 1 }));
      if (m.text) for (const i of ok) hits.push({ x: X(m.x2[i]), y: Y(m.y2[i]), text: m.text[i] });
    },
    cells(m, layer, X, Y, hits) {
      const w = Math.abs(X(1) - X(0)), h = Math.abs(Y(1) - Y(0));
      m.x.forEach((x, i) => {
        const c = viridis(m.shade[i]);
        layer.append(shape("rect", { x: X(x) - w / 2 + 0.5, y: Y(m.y[i]) - h / 2 + 0.5, width: w - 1, height: h - 1, fill: c.css }));
        if (m.label) layer.append(shape("text", { x: X(x), y: Y(m.y[i]) + 4, "text-anchor": "middle", style: `fill:${c.dark ? "#fff" : "#000"}` }, m.label[i]));
        hits.push({ x: X(x), y: Y(m.y[i]), text: m.text[i] });
      });
    },
    paths(m, layer, X, Y, hits) {
      m.ys.forEach((ys, k) => {
        let d = "", pen = "M";
        ys.forEach((y, i) => { if (y === null) pen = "M"; else { d += `${pen}${X(i).toFixed(1)} ${Y(y).toFixed(1)}`; pen = "L"; } });
        const one = shape("path", { d, fill: "none", stroke: viridis(m.shade[k]).css, "stroke-width": 1.1, opacity: 0.75 });
        layer.append(one);
        ys.forEach((y, i) => { if (y !== null) hits.push({ x: X(i), y: Y(y), text: m.text[k], element: one }); });
      });
    },
  };

  // pointing at values, by mouse or keys

  function watch(svg, view) {
    const { X, hits, lines, box, width } = view;
    const mark = shape("g", {});
    svg.append(mark);
    let at = -1, lit = null;
    const stops = lines.length ? [...new Set(lines.flatMap((l) => l.at.map((p) => p[0])))].sort((a, b) => a - b) : [...hits].sort((a, b) => a.x - b.x || a.y - b.y);
    const clear = () => { mark.replaceChildren(); $("tip").hidden = true; if (lit) lit.setAttribute("stroke-width", 1.1); lit = null; };
    function tell(text, px, py) {
      const tip = $("tip"), r = svg.getBoundingClientRect(), k = r.width / width;
      tip.hidden = false;
      tip.textContent = text;
      const x = r.left + px * k + 14, y = r.top + py * k + 10;
      tip.style.left = Math.max(4, Math.min(x, innerWidth - tip.offsetWidth - 8)) + "px";
      tip.style.top = Math.max(4, Math.min(y, innerHeight - tip.offsetHeight - 8)) + "px";
    }
    function across(v, py) {
      clear();
      const rows = [];
      for (const l of lines) {
        let i = -1;
        while (i + 1 < l.at.length && l.at[i + 1][0] <= v * (1 + 1e-9)) i++;
        if (i < 0 || (!l.step && i === l.at.length - 1 && l.at[i][0] < v)) continue;
        rows.push([l.at[i][1], l.series, l.at[i]]);
      }
      rows.sort((a, b) => a[0] - b[0]);
      mark.append(shape("line", { class: "cross", x1: X(v), x2: X(v), y1: box.y, y2: box.y + box.height }));
      const band = (p) => (p[2] !== null && p[2] !== undefined ? ` [${number(p[2])}, ${number(p[3])}]` : "");
      tell([`at ${number(v)}`, ...rows.slice(0, 14).map((r) => `${r[1] ? label(r[1]) + ": " : ""}${number(r[0])}${band(r[2])}`)].join("\n"), X(v), py);
    }
    function point(hit) {
      clear();
      mark.append(shape("circle", { cx: hit.x, cy: hit.y, r: 6, fill: "none", stroke: "var(--ink)", "stroke-width": 1.5 }));
      if (hit.element) { lit = hit.element; lit.setAttribute("stroke-width", 3); lit.parentNode.append(lit); }
      tell(hit.text, hit.x, hit.y);
    }
    svg.addEventListener("pointermove", (e) => {
      const r = svg.getBoundingClientRect(), k = width / r.width, px = (e.clientX - r.left) * k, py = (e.clientY - r.top) * k;
      if (px < box.x - 8 || px > box.x + box.width + 8 || py < box.y - 8 || py > box.y + box.height + 8) return clear();
      let near = null, best = lines.length ? 100 : 900;
      for (const h of hits) { const d = (h.x - px) ** 2 + (h.y - py) ** 2; if (d < best) { best = d; near = h; } }
      if (near) return point(near);
      if (!lines.length) return clear();
      let v = stops[0];
      for (const s of stops) if (Math.abs(X(s) - px) < Math.abs(X(v) - px)) v = s;
      across(v, py);
    });
    svg.addEventListener("pointerleave", clear);
    svg.addEventListener("blur", clear);
    svg.addEventListener("keydown", (e) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
      if (e.key === "Escape") return clear();
      if (!step || !stops.length) return;
      e.preventDefault();
      at = Math.min(Math.max(at + step, 0), stops.length - 1);
      if (lines.length) across(stops[at], box.y + 10); else point(stops[at]);
    });
  }

  // figures

  function show(figure, holder) {
    const fits = figure.panels.filter((p) => !task || !p.task || p.task === task);
    const grid = holder.querySelector(".panels"), more = holder.querySelector(".more");
    const big = fits.some((p) => p.x.scale === "category");
    const shown = holder.dataset.all ? fits : fits.slice(0, big ? FIRST_BIG : FIRST);
    grid.className = big ? "panels big" : "panels";
    grid.replaceChildren(...shown.map((p) => draw(p, figure.alt)));
    if (!fits.length) grid.append(node("p", { class: "caption" }, "Nothing of this kind for the chosen task."));
    more.hidden = shown.length === fits.length;
    more.textContent = `Show all ${fits.length} panels`;
    if (holder.querySelector("details").open) numbers(figure, holder);
  }
  function numbers(figure, holder) {
    const fits = figure.panels.filter((p) => !task || !p.task || p.task === task), rows = [];
    const name = (axis, v) => (axis.scale === "category" && axis.names[v] !== undefined ? axis.names[v] : number(v));
    for (const p of fits)
      for (const m of visible(p)) {
        if (m.kind === "paths") m.ys.forEach((ys, k) => rows.push([p.title, m.series, "", ys.map(number).join(" "), "", m.text[k]]));
        else m.x.forEach((x, i) => rows.push([p.title, m.series, name(p.x, x), name(p.y, m.y[i]), m.low ? `${number(m.low[i])} to ${number(m.high[i])}` : "", m.text ? m.text[i] : ""]));
      }
    const head = node("tr", {}, ...["panel", "method", "x", "y", "interval", "in words"].map((t) => node("th", { scope: "col" }, t)));
    const body = rows.slice(0, ROWS).map((r) => node("tr", {}, ...r.map((t) => node("td", {}, t))));
    const box = holder.querySelector(".numbers");
    box.replaceChildren(node("table", {}, node("thead", {}, head), node("tbody", {}, ...body)));
    if (rows.length > ROWS) box.append(node("p", { class: "caption" }, `The first ${ROWS} of ${rows.length} rows; choose a task, or see the side-car files (report --figures).`));
  }

  async function build(figures) {
    const drawn = [];
    controls(() => { for (const [f, holder] of drawn) show(f, holder); });
    for (const f of figures) {
      const holder = $(`figure-${f.name}`);
      holder.querySelector("details").addEventListener("toggle", (e) => { if (e.target.open) numbers(f, holder); });
      holder.querySelector(".more").addEventListener("click", () => { holder.dataset.all = "1"; show(f, holder); });
      show(f, holder);
      drawn.push([f, holder]);
      await new Promise((done) => setTimeout(done)); // the page answers between two figures
    }
  }

  function controls(again) {
    const bar = $("controls");
    if (!bar) return;
    $("task").addEventListener("change", (e) => { task = e.target.value; again(); });
    for (const m of [...methods, "default"]) {
      const b = [...bar.querySelectorAll("button")].find((one) => one.dataset.method === m);
      if (!b) continue;
      b.prepend(swatch(m));
      b.addEventListener("click", () => {
        if (!hidden.delete(m)) hidden.add(m);
        b.setAttribute("aria-pressed", String(!hidden.has(m)));
        again();
      });
    }
    for (const cell of document.querySelectorAll("[data-swatch]")) cell.prepend(swatch(cell.dataset.swatch));
  }

  // the trial table: only the rows in view are in the document

  function table(t) {
    const HIGH = 26, rows = [];
    for (const b of t.blocks) for (let i = 0; i < b.job.length; i++) rows.push([b, i]);
    const text = (b, i) => b.names.map((n, k) => (b.config[k][i] === null ? null : `${n}=${b.config[k][i]}`)).filter(Boolean).join(" ");
    const columns = [
      ["task", (b) => b.task], ["method", (b, i) => t.methods[b.method[i]]], ["seed", (b, i) => b.seed[i], 1], ["trial", (b, i) => b.trial[i], 1],
      ["job", (b, i) => b.job[i], 1], ["fidelity", (b, i) => b.fidelity[i], 1], ["validation", (b, i) => b.validation[i], 1], ["test", (b, i) => b.test[i], 1],
      ["seconds", (b, i) => b.seconds[i], 1], ["status", (b, i) => b.status[i]], ["configuration", text],
    ];
    const of = Object.fromEntries(columns.map((c) => [c[0], c[1]]));
    let shown = rows.map((_, i) => i), sorted = null, down = false;
    const body = node("tbody"), box = $("table");
    const head = node("tr", {}, ...columns.map(([name, , right]) => {
      const button = node("button", { type: "button" }, name);
      const th = node("th", { scope: "col", "aria-sort": "none" }, button);
      if (right) th.className = "right";
      button.addEventListener("click", () => {
        down = sorted === name ? !down : false;
        sorted = name;
        for (const one of head.children) { one.setAttribute("aria-sort", "none"); one.firstChild.textContent = one.firstChild.textContent.replace(/ [▲▼]$/, ""); }
        th.setAttribute("aria-sort", down ? "descending" : "ascending");
        button.textContent = `${name} ${down ? "▼" : "▲"}`;
        order();
      });
      return th;
    }));
    const whole = node("table", { "aria-label": "Trials" }, node("thead", {}, head), body);
    box.replaceChildren(whole);
    function order() {
      if (sorted) {
        const key = new Map(shown.map((i) => [i, of[sorted](...rows[i])])), sign = down ? -1 : 1;
        shown.sort((a, b) => {
          const [u, v] = [key.get(a), key.get(b)];
          if (u === null || v === null) return (u === null) - (v === null) || a - b;
          return (u < v ? -sign : u > v ? sign : 0) || a - b;
        });
      }
      box.scrollTop = 0;
      paint();
    }
    function filter() {
      const unknown = [];
      const words = $("filter").value.trim().split(/\s+/).filter(Boolean).map((w) => {
        const m = w.match(/^(\w+)(<=|>=|<|>|=)(.+)$/);
        if (m && of[m[1]]) {
          const [, name, op, v] = m, n = Number(v);
          const test = { "<": (a) => a < n, ">": (a) => a > n, "<=": (a) => a <= n, ">=": (a) => a >= n, "=": (a) => String(a) === v || a === n }[op];
          return (b, i) => { const a = of[name](b, i); return a !== null && test(a); };
        }
        if (m && m[2] !== "=") unknown.push(m[1]);
        const low = w.toLowerCase();
        return (b, i) => `${b.task} ${t.methods[b.method[i]]} ${b.status[i]} ${text(b, i)}`.toLowerCase().includes(low);
      });
      shown = [];
      rows.forEach(([b, i], k) => { if (words.every((f) => f(b, i))) shown.push(k); });
      $("count").textContent = `${shown.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows`
        + (unknown.length ? `: there is no column ${unknown.join(", ")}, but ${Object.keys(of).join(", ")}` : "");
      order();
    }
    function paint() {
      const first = Math.max(0, Math.floor(box.scrollTop / HIGH) - 10), last = Math.min(shown.length, first + Math.ceil(box.clientHeight / HIGH) + 30);
      const gap = (n) => { const td = node("td", { colspan: columns.length, style: `height:${n * HIGH}px` }); return node("tr", { class: "gap", "aria-hidden": "true" }, td); };
      const out = [gap(first)];
      for (let k = first; k < last; k++) {
        const [b, i] = rows[shown[k]];
        out.push(node("tr", { "aria-rowindex": k + 2 }, ...columns.map(([name, f, right]) => {
          const v = f(b, i), td = node("td", right ? { class: "right" } : {}, v === null ? "–" : typeof v === "number" ? number(v) : v);
          if (name === "configuration") td.title = v;
          return td;
        })));
      }
      out.push(gap(shown.length - last));
      body.replaceChildren(...out);
      whole.setAttribute("aria-rowcount", shown.length + 1);
    }
    let due = 0;
    box.addEventListener("scroll", () => { if (!due) due = requestAnimationFrame(() => { due = 0; paint(); }); });
    let timer = 0;
    $("filter").addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(filter, 150); });
    filter();
  }

  // light and dark; a study that still runs

  function theme() {
    const root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)");
    const set = (name) => { root.dataset.theme = name; };
    let chosen = null;
    try { chosen = localStorage.getItem("hptbench-theme"); } catch { /* files may have no storage */ }
    set(chosen || (dark.matches ? "dark" : "light"));
    dark.addEventListener("change", (e) => { if (!chosen) set(e.matches ? "dark" : "light"); });
    $("theme").addEventListener("click", () => {
      chosen = root.dataset.theme === "dark" ? "light" : "dark";
      set(chosen);
      try { localStorage.setItem("hptbench-theme", chosen); } catch { /* as above */ }
    });
  }
  function live() {
    const seen = document.body.dataset.watch;
    if (!seen) return;
    setInterval(async () => {
      try { if ((await (await fetch("/state")).text()) !== seen) location.reload(); } catch { /* the server has ended */ }
    }, 3000);
  }

  theme();
  live();
  (async () => {
    const found = await unpack("figures");
    methods = found.methods;
    await build(found.figures);
    document.body.dataset.ready = "figures";
    const trials = await unpack("trials");
    if (trials) table(trials);
    document.body.dataset.ready = "all";
  })().catch((error) => {
    $("main").prepend(node("p", { class: "note" }, `This browser cannot draw the figures (${error}); it needs DecompressionStream.`));
    document.body.dataset.ready = "failed";
  });
})();
