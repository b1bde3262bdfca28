"use strict";
// Small charts in SVG: lines over time on a logarithmic scale, bars over time, and bars of a distribution.
const SVG = "http://www.w3.org/2000/svg";

function svg(name, attributes = {}, ...children) {
  const found = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) found.setAttribute(key, value);
  found.append(...children);
  return found;
}

const milliseconds = (value) => {
  if (value === null || value === undefined) return "–";
  if (value >= 1000) return `${+(value / 1000).toPrecision(3)} s`;
  if (value >= 100) return `${Math.round(value)} ms`;
  return `${+value.toPrecision(value < 1 ? 2 : 3)} ms`;
};
const count = (value) => (value >= 1e6 ? `${+(value / 1e6).toPrecision(3)} M` : value >= 1e4 ? `${+(value / 1e3).toPrecision(3)} k` : `${+(+value).toFixed(value < 10 && value % 1 ? 1 : 0)}`);
const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const moment = (iso) => `${new Date(iso).toLocaleDateString()} ${clock(Date.parse(iso) / 1000)}`;

const FRAME = { height: 210, left: 46, right: 8, top: 8, bottom: 22 };

function frame(box, label) {
  const width = Math.max(260, box.clientWidth);
  const root = svg("svg", { viewBox: `0 0 ${width} ${FRAME.height}`, role: "img", "aria-label": label });
  return { root, width, x0: FRAME.left, x1: width - FRAME.right, y0: FRAME.height - FRAME.bottom, y1: FRAME.top };
}

function text(at, x, y, words, anchor = "end") {
  at.root.append(svg("text", { x, y, "text-anchor": anchor }, words));
}

function level(at, y, words) {
  at.root.append(svg("line", { class: "grid", x1: at.x0, x2: at.x1, y1: y, y2: y }));
  text(at, at.x0 - 6, y + 4, words);
}

function timeScale(at, slices, seconds) {
  const end = slices[slices.length - 1].at + seconds;
  const start = Math.min(slices[0].at, end - 60);
  const x = (second) => at.x0 + ((second - start) / (end - start)) * (at.x1 - at.x0);
  const steps = at.width < 420 ? 2 : 4;
  for (let step = 0; step <= steps; step++) {
    const second = start + ((end - start) * step) / steps;
    text(at, x(second), FRAME.height - 6, clock(second), step === 0 ? "start" : step === steps ? "end" : "middle");
  }
  return { x, start, end };
}

function nearest(slices, second) {
  let found = slices[0];
  for (const one of slices) if (Math.abs(one.at - second) < Math.abs(found.at - second)) found = one;
  return found;
}

function follow(at, scale, slices, seconds, tell) {
  const cursor = svg("line", { class: "cursor", y1: at.y1, y2: at.y0, visibility: "hidden" });
  at.root.append(cursor);
  const show = (event) => {
    const box = at.root.getBoundingClientRect();
    const inside = ((event.clientX - box.left) / box.width) * at.width;
    const second = scale.start + ((inside - at.x0) / (at.x1 - at.x0)) * (scale.end - scale.start);
    const one = nearest(slices, second - seconds / 2);
    cursor.setAttribute("x1", scale.x(one.at + seconds / 2));
    cursor.setAttribute("x2", scale.x(one.at + seconds / 2));
    cursor.setAttribute("visibility", "visible");
    tell(one);
  };
  at.root.addEventListener("pointermove", show);
  at.root.addEventListener("pointerdown", show);
  at.root.addEventListener("pointerleave", () => {
    cursor.setAttribute("visibility", "hidden");
    tell(slices[slices.length - 1]);
  });
}

function latencyChart(box, slices, seconds, slowMs, tell) {
  const at = frame(box, "50th, 95th and 99th percentile of latency over time");
  const shown = slices.filter((one) => one.p50_ms !== null);
  const highest = Math.max(...shown.map((one) => one.p99_ms), 0.2);
  const lowest = Math.min(...shown.map((one) => one.p50_ms), highest / 2);
  const bottom = Math.floor(Math.log10(lowest) * 2) / 2;
  const top = Math.max(Math.ceil(Math.log10(highest) * 2) / 2, bottom + 1);
  const y = (value) => at.y0 - ((Math.log10(value) - bottom) / (top - bottom)) * (at.y0 - at.y1);
  for (let power = Math.ceil(bottom); power <= top; power++) level(at, y(10 ** power), milliseconds(10 ** power));
  if (slowMs > 0 && Math.log10(slowMs) < top && Math.log10(slowMs) > bottom) {
    at.root.append(svg("line", { class: "mark", x1: at.x0, x2: at.x1, y1: y(slowMs), y2: y(slowMs) }));
    text(at, at.x0 + 4, y(slowMs) - 4, `slow: ${milliseconds(slowMs)}`, "start");
  }
  const scale = timeScale(at, slices, seconds);
  for (const name of ["p99", "p95", "p50"]) {
    let path = "", before = null, alone = [];
    for (const one of shown) {
      const joined = before !== null && one.at - before <= 3 * seconds;
      if (!joined) alone.push(one);
      path += `${joined ? "L" : "M"}${scale.x(one.at + seconds / 2).toFixed(1)} ${y(one[`${name}_ms`]).toFixed(1)}`;
      before = one.at;
    }
    at.root.append(svg("path", { class: `line s-${name}`, d: path }));
    for (const one of alone) at.root.append(svg("circle", { class: `dot-${name}`, r: 2, cx: scale.x(one.at + seconds / 2), cy: y(one[`${name}_ms`]) }));
  }
  follow(at, scale, shown, seconds, tell);
  box.replaceChildren(at.root);
}

function throughputChart(box, slices, seconds, tell) {
  const at = frame(box, "operations and failed operations a second over time");
  const highest = Math.max(...slices.map((one) => one.operations / seconds), 1);
  const unit = 10 ** Math.floor(Math.log10(highest));
  const step = [0.25, 0.5, 1, 2].map((part) => part * unit).find((part) => highest / part <= 5) || 2 * unit;
  const top = Math.ceil(highest / step) * step;
  const y = (value) => at.y0 - (value / top) * (at.y0 - at.y1);
  for (let value = 0; value <= top; value += step) level(at, y(value), count(value));
  const scale = timeScale(at, slices, seconds);
  for (const one of slices) {
    const left = scale.x(one.at), width = Math.max(1, scale.x(one.at + seconds) - left - 1);
    const all = one.operations / seconds, failed = one.errors / seconds;
    at.root.append(svg("rect", { class: "bar", x: left, width, y: y(all), height: at.y0 - y(all) }));
    if (failed) at.root.append(svg("rect", { class: "bar bad", x: left, width, y: Math.min(y(failed), at.y0 - 2), height: Math.max(2, at.y0 - y(failed)) }));
  }
  follow(at, scale, slices, seconds, tell);
  box.replaceChildren(at.root);
}

function distributionChart(box, bars, slowMs) {
  const at = frame(box, "distribution of durations");
  const used = bars.map((one, place) => (one.operations ? place : -1)).filter((place) => place >= 0);
  const shown = bars.slice(Math.max(0, Math.min(...used) - 1), Math.max(...used) + 2);
  const highest = Math.max(...shown.map((one) => one.operations));
  const width = (at.x1 - at.x0) / shown.length;
  const y = (value) => at.y0 - (value / highest) * (at.y0 - at.y1 - 14);
  at.root.append(svg("line", { class: "grid", x1: at.x0, x2: at.x1, y1: at.y0, y2: at.y0 }));
  const sparse = Math.ceil(shown.length / (at.width / 64));
  shown.forEach((one, place) => {
    const left = at.x0 + place * width;
    const slow = slowMs > 0 && (one.up_to_ms === null || one.up_to_ms > slowMs);
    const height = one.operations ? Math.max(2, at.y0 - y(one.operations)) : 0;
    at.root.append(svg("rect", { class: slow ? "bar over" : "bar", x: left + 2, width: width - 4, y: at.y0 - height, height, rx: 2 }));
    if (one.operations) text(at, left + width / 2, at.y0 - height - 4, count(one.operations), "middle");
    if (place % sparse === 0) text(at, left + width / 2, FRAME.height - 6, one.up_to_ms === null ? "more" : `≤ ${milliseconds(one.up_to_ms).replace(" ", "\u2009")}`, "middle");
  });
  box.replaceChildren(at.root);
}
