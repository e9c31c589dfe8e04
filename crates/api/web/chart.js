// Stacked bars of counts over time, as SVG elements. The legend beside it is a table with the same numbers.

const NAMESPACE = "http://www.w3.org/2000/svg";
const LEFT = 46;
const BOTTOM = 20;
const TOP = 8;

/// Series with a colour of their own; the rest share the last.
export const COLOURS = 8;

function shape(name, attributes, text) {
  const made = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

let redraw = () => {};
let watcher = null;

/// Draws `series` (name and count per bucket, largest first) over buckets that begin at `starts` (milliseconds), and
/// again when the size of the place changes.
export function drawBars(target, starts, series, bucketMs) {
  redraw = () => draw(target, starts, series, bucketMs);
  watcher ??= new ResizeObserver(() => redraw());
  watcher.observe(target);
  redraw();
}

function draw(target, starts, series, bucketMs) {
  const width = Math.max(target.clientWidth, 200);
  const height = Math.max(target.clientHeight, 120);
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Events over time; the table below has the numbers" });
  const totals = starts.map((_, index) => series.reduce((sum, one) => sum + one.counts[index], 0));
  const top = niceCeiling(Math.max(...totals, 1));
  const y = (count) => TOP + (height - TOP - BOTTOM) * (1 - count / top);
  for (const share of [0, 0.5, 1]) {
    const line = y(top * share);
    svg.append(shape("line", { class: "grid", x1: LEFT, x2: width, y1: line, y2: line }));
    svg.append(shape("text", { x: LEFT - 6, y: line + 4, "text-anchor": "end" }, short(top * share)));
  }
  const step = (width - LEFT) / starts.length;
  starts.forEach((start, index) => {
    let below = 0;
    series.forEach((one, order) => {
      const count = one.counts[index];
      if (!count) return;
      const colour = Math.min(order, COLOURS - 1);
      const tall = y(below) - y(below + count);
      const bar = shape("rect", { class: `f${colour}`, x: LEFT + index * step + 1, width: Math.max(step - 2, 1), y: y(below + count), height: Math.max(tall, 0.5) });
      bar.append(shape("title", {}, `${label(start, bucketMs)} UTC\n${one.name}: ${count.toLocaleString("en")}`));
      svg.append(bar);
      below += count;
    });
  });
  const every = Math.ceil(starts.length / Math.max(2, Math.floor(width / 100)));
  starts.forEach((start, index) => {
    const x = LEFT + index * step;
    if (index % every === 0 && x < width - 45) svg.append(shape("text", { x, y: height - 5 }, label(start, bucketMs)));
  });
  if (!totals.some((total) => total > 0)) {
    svg.append(shape("text", { class: "empty", x: width / 2, y: height / 2, "text-anchor": "middle" }, "no events in this range"));
  }
  target.replaceChildren(svg);
}

function label(start, bucketMs) {
  const text = new Date(start).toISOString();
  return bucketMs >= 3 * 3600 * 1000 ? text.slice(5, 13).replace("T", " ") + "h" : text.slice(11, 16);
}

function short(count) {
  if (count >= 1e6) return `${+(count / 1e6).toFixed(1)}M`;
  if (count >= 1e3) return `${+(count / 1e3).toFixed(1)}k`;
  return String(Math.round(count));
}

function niceCeiling(count) {
  const power = 10 ** Math.floor(Math.log10(count));
  const factor = [1, 2, 3, 4, 5, 6, 8, 10].find((candidate) => candidate * power >= count);
  return Math.max(factor * power, 2);
}
