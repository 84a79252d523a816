// Small tools: elements, scales, axes, and charts that follow their width.

const SVG = "http://www.w3.org/2000/svg";

function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) {
    element.setAttribute(key, value);
  }
  element.append(...children); // text becomes text nodes, never markup
  return element;
}

function html(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

function byId(id) {
  return document.getElementById(id);
}

function linear([from, to], [start, end]) {
  return (value) => start + ((value - from) / (to - from || 1)) * (end - start);
}

// Round numbers from low to high, about so many.
function roundTicks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) =>
    Number(((first + i) * step).toPrecision(12)));
}

// Draws again whenever the width changes; `draw(width)` gives the whole picture.
function follow(container, draw) {
  let width = 0;
  const again = () => {
    const now = Math.floor(container.clientWidth);
    if (!now || now === width) return;
    width = now;
    container.replaceChildren(draw(width));
  };
  new ResizeObserver(again).observe(container);
  again();
}

function picture(width, height, label, ...children) {
  const attributes = { width, height, viewBox: `0 0 ${width} ${height}`, role: "img" };
  return svg("svg", { ...attributes, "aria-label": label }, ...children);
}

function text(x, y, content, attributes = {}) {
  return svg("text", { x, y, ...attributes }, content);
}

function line(x1, y1, x2, y2, attributes = {}) {
  return svg("line", { x1, y1, x2, y2, ...attributes });
}

// Points [x, y] in data as the path of a line; null breaks it.
function pathOf(points, x, y) {
  let pen = "M";
  let path = "";
  for (const [a, b] of points) {
    if (b === null) {
      pen = "M";
    } else {
      path += `${pen}${x(a).toFixed(1)},${y(b).toFixed(1)}`;
      pen = "L";
    }
  }
  return path;
}

// Grid, ticks and names of both axes. `box` is {left, top, right, bottom} in pixels.
function axes(box, { x, y, xTicks, yTicks, xName, yName }) {
  const group = svg("g", { class: "axes" });
  for (const [value, label] of yTicks) {
    const at = y(value);
    group.append(line(box.left, at, box.right, at, { class: "grid" }));
    const attributes = { "text-anchor": "end", "dominant-baseline": "middle" };
    group.append(text(box.left - 6, at, label, attributes));
  }
  for (const [value, label] of xTicks) {
    const at = x(value);
    group.append(line(at, box.bottom, at, box.bottom + 4, { class: "tick" }));
    group.append(text(at, box.bottom + 16, label, { "text-anchor": "middle" }));
  }
  group.append(line(box.left, box.bottom, box.right, box.bottom, { class: "axis" }));
  if (xName) {
    const middle = (box.left + box.right) / 2;
    group.append(text(middle, box.bottom + 32, xName, { "text-anchor": "middle" }));
  }
  if (yName) group.append(text(0, box.top - 10, yName));
  return group;
}
