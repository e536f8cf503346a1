"use strict";
// Draws the courses and the trade-off from the data in this file. Text from the data is only ever
// set as text; nothing is fetched.
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const { policies, sweep } = data;
const origin = data.origin;
const x = data.x.map((at) => (origin === null ? at : origin + at));
const dark = matchMedia("(prefers-color-scheme: dark)");
const COLOURS = 8;
const DASH = [6, 4];
let charts = [];
let scatter = null;

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const colour = (idx) => css(`--c${idx % COLOURS}`);
// Colours repeat with another stroke, and the bound that nobody can choose has one of its own.
const dash = (idx) => {
  if (policies[idx].clairvoyant) return [2, 3];
  return idx >= COLOURS ? [10, 3, 2, 3] : undefined;
};
const isNarrow = () => document.documentElement.clientWidth < 600;
const height = () => (isNarrow() ? 190 : 230);
const short = (value) => {
  if (value === null || value === undefined) return "-";
  const size = Math.abs(value);
  if (size >= 1e6) return `${+(value / 1e6).toPrecision(3)}M`;
  if (size >= 1e4) return `${+(value / 1e3).toPrecision(3)}k`;
  return String(+value.toPrecision(3));
};

const HOUR = 3600;
const DAY = 24 * HOUR;
const elapsed = (seconds) => {
  if (seconds >= 2 * DAY || seconds <= -2 * DAY) return `${+(seconds / DAY).toFixed(2)} d`;
  const minutes = Math.round(seconds / 60);
  const rest = Math.abs(minutes % 60);
  return `${Math.trunc(minutes / 60)}:${String(rest).padStart(2, "0")} h`;
};
const instant = (at) => (origin === null
  ? `${elapsed(at)} after the beginning`
  : `${new Date(at * 1000).toISOString().slice(0, 16).replace("T", " ")} UTC`);

const axis = () => ({ stroke: css("--soft"), grid: { stroke: css("--line"), width: 1 }, ticks: { stroke: css("--line"), width: 1 }, font: "12px system-ui, sans-serif" });
const INCREMENTS = [60, 300, 600, 900, 1200, 1800, HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 28 * DAY];
// Hours, and below the first instant of each day its date; the same in every country.
const calendar = (_, splits, axisIdx, space, step) => {
  let day = "";
  return splits.map((at) => {
    const text = new Date(at * 1000).toISOString();
    const [date, clock] = [text.slice(5, 10), text.slice(11, 16)];
    const isNew = date !== day;
    day = date;
    if (step >= DAY) return date;
    return isNew ? `${clock}\n${date}` : clock;
  });
};
const timeAxis = () => ({
  ...axis(),
  space: isNarrow() ? 60 : 80,
  incrs: INCREMENTS,
  values: origin === null ? (_, splits) => splits.map(elapsed) : calendar,
});
// A logarithm's axis names powers of ten; between them there is no room.
const powers = (_, splits) => splits.map((value) => (
  value > 0 && Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-9 ? short(value) : null));

// Each moment is told at its end: a line holds to the left of its point.
const stepped = uPlot.paths.stepped({ align: -1 });

// The steps in which replicas were created.
const starts = (created) => created.flatMap((count, idx) => (count > 0 ? [idx] : []));

const line = (policy, idx, extra) => ({
  label: policy.name, show: policy.shown, stroke: colour(idx), width: 1.75, dash: dash(idx),
  paths: stepped, points: { show: false }, ...extra,
});

function timed(id, values, extra, options) {
  const { before = [], after = [], scale = {}, y = {}, each = () => ({}) } = options;
  const series = [...before, ...policies.map((policy, idx) => line(policy, idx, each(policy, idx))), ...after];
  const rows = [...before.map((it) => it.data), ...policies.map(values), ...after.map((it) => it.data)];
  const box = byId(id);
  const chart = new uPlot({
    width: box.clientWidth, height: height(),
    tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
    legend: { show: false },
    cursor: { sync: { key: "time" }, points: { size: 5 }, y: false, drag: { x: true, y: false } },
    scales: { x: { time: origin !== null }, y: { range: (_, low, high) => [0, Math.max(1, high * 1.06)], ...scale } },
    axes: [timeAxis(), { ...axis(), size: isNarrow() ? 50 : 56, values: (_, splits) => splits.map(short), ...y }],
    series: [{}, ...series.map(({ data: _, ...rest }) => rest)],
    hooks: { setCursor: [(u) => read(u.cursor.idx)] },
    ...extra,
  }, [x, ...rows], box);
  chart.first = 1 + before.length;
  return chart;
}

const constant = (value) => x.map(() => value);

function drawCourses() {
  if (x.length === 0) return [];
  const demand = { data: data.demand, label: "demand", stroke: css("--demand"), width: 1, fill: `${css("--demand")}44`, paths: stepped, points: { show: false } };
  const objective = { data: constant(data.ttft), label: "objective", stroke: css("--bad"), width: 1.25, dash: DASH, points: { show: false } };
  const positive = policies.map((policy) => policy.ttft.map((value) => (value > 0 ? value : null)));
  return [
    timed("chart-capacity", (policy) => policy.ready.map((ready) => (ready === null ? null : ready * data.knee)), {}, { before: [demand] }),
    timed("chart-replicas", (policy) => policy.replicas, {}, {
      each: (policy, idx) => ({ points: { show: true, size: 5, width: 1, stroke: colour(idx), fill: colour(idx), filter: () => starts(policy.created) } }),
    }),
    timed("chart-queue", (policy) => policy.queue, {}, {}),
    timed("chart-ttft", (_, idx) => positive[idx], {}, {
      after: [objective],
      scale: { distr: 3, range: (_, low, high) => [Math.min(low || data.ttft, data.ttft) / 1.3, Math.max(high || data.ttft, data.ttft) * 1.3] },
      y: { values: powers },
      each: () => ({ paths: uPlot.paths.linear() }),
    }),
  ];
}

// The legend, which also says what each policy does at the instant under the cursor.
function drawLegend() {
  const cell = (row) => row.appendChild(document.createElement("td"));
  for (const [idx, policy] of policies.entries()) {
    const row = byId("legend").appendChild(document.createElement("tr"));
    const head = row.appendChild(document.createElement("th"));
    head.scope = "row";
    const label = head.appendChild(document.createElement("label"));
    const box = label.appendChild(document.createElement("input"));
    box.type = "checkbox";
    box.checked = policy.shown;
    policy.swatch = label.appendChild(document.createElement("i"));
    policy.swatch.className = dash(idx) ? "dashed" : "";
    label.appendChild(document.createElement("span")).textContent = policy.name;
    label.title = policy.name;
    policy.cells = [cell(row), cell(row), cell(row)];
    row.className = policy.shown ? "" : "off";
    box.addEventListener("change", () => {
      policy.shown = box.checked;
      row.className = policy.shown ? "" : "off";
      charts.forEach((chart) => chart.setSeries(chart.first + idx, { show: policy.shown }));
    });
  }
}

function read(idx) {
  const at = idx ?? x.length - 1;
  if (at < 0 || x[at] === undefined) return;
  byId("instant").textContent = `${instant(x[at])}: demand ${short(data.demand[at])}/s`;
  for (const policy of policies) {
    const [replicas, queue, ttft] = policy.cells;
    replicas.textContent = `${short(policy.ready[at])} / ${short(policy.replicas[at])}`;
    queue.textContent = short(policy.queue[at]);
    ttft.textContent = short(policy.ttft[at]);
  }
}

// The trade-off: each policy as it ran, each setting tried, and the front.
function points() {
  const found = sweep.map((it) => ({ ...it, own: false }))
    .concat(policies.map((it) => ({ ...it, own: true, front: false })))
    .filter((it) => it.attained !== null && it.hours !== null);
  // On a logarithm none missed has no place: it stands where half a request would.
  const none = 0.5 / Math.max(1, data.requests);
  return found
    .map((it) => ({ ...it, missed: Math.max(none, 1 - it.attained) * 100 }))
    .sort((a, b) => a.hours - b.hours);
}

const size = (own) => (own ? 10 : 5);
// What may be missed, percent.
const aim = (1 - data.target) * 100;

function drawScatter() {
  const all = points();
  if (all.length === 0) return null;
  const names = [...new Set([...policies.map((it) => it.name), ...all.map((it) => it.name)])];
  const pick = (test) => all.map((it) => (test(it) ? it.missed : null));
  const marks = names.flatMap((name, idx) => [false, true].map((own) => ({
    data: pick((it) => it.name === name && it.own === own),
    stroke: colour(idx), paths: () => null,
    points: { show: true, size: size(own), width: own ? 2 : 1, stroke: colour(idx), fill: idx >= COLOURS ? css("--back") : colour(idx) },
  })));
  const front = { data: pick((it) => it.front), stroke: css("--soft"), width: 1.25, spanGaps: true, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } };
  const objective = { data: all.map(() => (aim > 0 ? aim : null)), stroke: css("--bad"), width: 1.25, dash: DASH, points: { show: false } };
  const series = [front, objective, ...marks];
  const box = byId("chart-scatter");
  const nearest = (u) => {
    const far = (it) => Math.hypot(u.valToPos(it.hours, "x") - u.cursor.left, u.valToPos(it.missed, "y") - u.cursor.top);
    const best = all.reduce((a, b) => (far(b) < far(a) ? b : a));
    const knob = best.knob === undefined ? "" : `, knob ${short(best.knob)}`;
    byId("point").textContent = `${best.name}${knob}: ${+(best.attained * 100).toFixed(3)} % attained, ${short(best.hours)} GPU-hours`;
  };
  return new uPlot({
    width: box.clientWidth, height: isNarrow() ? 300 : 400,
    legend: { show: false },
    cursor: { points: { show: false }, drag: { x: false, y: false } },
    scales: {
      x: { time: false, range: (_, low, high) => [low - (high - low || 1) * 0.06, high + (high - low || 1) * 0.1] },
      y: { distr: 3, range: (_, low, high) => [Math.min(low, aim || low) / 1.6, Math.min(110, Math.max(high, aim) * 1.6)] },
    },
    axes: [
      { ...axis(), label: "GPU-hours", labelFont: "12px system-ui, sans-serif", labelSize: 20, values: (_, splits) => splits.map(short) },
      { ...axis(), size: isNarrow() ? 48 : 58, values: powers },
    ],
    series: [{}, ...series.map(({ data: _, ...rest }) => ({ label: "", ...rest }))],
    hooks: {
      setCursor: [(u) => { if (u.cursor.left >= 0) nearest(u); }],
      draw: [(u) => name(u, all, names)],
    },
  }, [all.map((it) => it.hours), ...series.map((it) => it.data)], box);
}

// Names beside the large marks, where there is room; farther off with a line to the mark, or nowhere.
function name(u, all, names) {
  const { ctx, bbox } = u;
  const ratio = uPlot.pxRatio;
  const tall = 12 * ratio;
  const place = (it) => [u.valToPos(it.hours, "x", true), u.valToPos(it.missed, "y", true)];
  const free = (a, b) => a.right < b.left || a.left > b.right || a.bottom < b.top || a.top > b.bottom;
  const taken = all.map((it) => {
    const [left, top] = place(it);
    const half = (size(it.own) / 2) * ratio;
    return { left: left - half, right: left + half, top: top - half, bottom: top + half };
  });
  if (aim > 0) {
    const line = u.valToPos(aim, "y", true);
    taken.push({ left: bbox.left, right: bbox.left + bbox.width, top: line - 2, bottom: line + 2 });
  }
  ctx.save();
  ctx.font = `${tall}px system-ui, sans-serif`;
  ctx.textAlign = "left";
  ctx.textBaseline = "top";
  for (const it of all.filter((each) => each.own)) {
    const [left, top] = place(it);
    const text = it.name.length > 24 ? `${it.name.slice(0, 23)}…` : it.name;
    const wide = ctx.measureText(text).width;
    const spots = [8, 22, 38, 56].flatMap((far) => {
      const gap = far * ratio;
      return [
        [left + gap, top - tall / 2], [left - gap - wide, top - tall / 2],
        [left - wide / 2, top - gap - tall], [left - wide / 2, top + gap],
        [left + gap, top - gap - tall], [left + gap, top + gap],
        [left - gap - wide, top - gap - tall], [left - gap - wide, top + gap],
      ].map(([l, t]) => ({ left: l, right: l + wide, top: t, bottom: t + tall, isFar: far > 8 }));
    });
    const spot = spots.find((s) => s.left >= bbox.left && s.right <= bbox.left + bbox.width
      && s.top >= bbox.top && s.bottom <= bbox.top + bbox.height && taken.every((other) => free(s, other)));
    if (!spot) continue;
    taken.push(spot);
    ctx.fillStyle = ctx.strokeStyle = colour(names.indexOf(it.name));
    if (spot.isFar) {
      ctx.lineWidth = ratio;
      ctx.beginPath();
      ctx.moveTo(left, top);
      ctx.lineTo(Math.min(Math.max(left, spot.left), spot.right), Math.min(Math.max(top, spot.top), spot.bottom));
      ctx.stroke();
    }
    ctx.fillText(text, spot.left, spot.top);
  }
  ctx.restore();
}

function draw() {
  charts.forEach((chart) => chart.destroy());
  if (scatter) scatter.destroy();
  policies.forEach((policy, idx) => { policy.swatch.style.borderTopColor = colour(idx); });
  charts = drawCourses();
  scatter = drawScatter();
  read(null);
  document.body.dataset.drawn = String(charts.length + (scatter ? 1 : 0));
}

function fit() {
  const all = scatter ? [...charts, scatter] : charts;
  for (const chart of all) {
    const width = chart.root.parentElement.clientWidth;
    if (width > 0 && width !== chart.width) chart.setSize({ width, height: chart.height });
  }
}

document.querySelectorAll(".drawn").forEach((it) => { it.hidden = false; });
drawLegend();
draw();
addEventListener("resize", fit);
dark.addEventListener("change", draw);
// Colours and width are others on paper.
matchMedia("print").addEventListener("change", draw);
})();
