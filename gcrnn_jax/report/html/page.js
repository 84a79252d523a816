"use strict";

// Looks up scores at the sliders' positions, filters examples, and moves cursors.

const byId = (id) => document.getElementById(id);
const tables = JSON.parse(byId("data").textContent);
const KINDS = Object.keys(tables.values); // "tag", and "event" if there are strong labels
const START = Object.fromEntries(KINDS.map((kind) => [kind, tables.values[kind].length]));
const ALL = "all";
const state = { which: ALL, ...START };

function figuresAt({ which, tag, event }, kind) {
  const table = which === ALL ? tables[kind].all : tables[kind].one[which];
  if (kind === "tag") return table[tag];
  return table[Math.min(tag, table.length - 1)][event]; // one row: whatever the tags
}

function printed(value, digits) {
  return value === null ? "-" : (value / 10 ** digits).toFixed(digits);
}

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children); // text becomes text nodes, never markup
  return made;
}

function showFigures(kind) {
  const now = figuresAt(state, kind);
  const before = figuresAt({ ...state, ...START }, kind);
  const named = Object.entries(tables.figures[state.which === ALL ? ALL : "one"][kind]);
  byId(`${kind}-scores`).replaceChildren(...named.map(([name, digits], i) => {
    const was = now[i] === before[i] ? "" : `was ${printed(before[i], digits)}`;
    const number = element("dd", { class: i ? "" : "main", "data-score": name },
      printed(now[i], digits), element("small", {}, was));
    return element("div", {}, element("dt", {}, name), number);
  }));
}

function showSlider(kind) {
  const [values, start] = [tables.values[kind], tables.start[kind]];
  const thresholds = state.which === ALL ? start : [start[state.which]];
  const [low, high] = [Math.min(...thresholds), Math.max(...thresholds)];
  const isStart = state[kind] === START[kind];
  const distances = values.map((value) => Math.abs(value - (low + high) / 2));
  const nearest = distances.indexOf(Math.min(...distances));
  const range = low === high ? `${low}` : `${low}–${high} by class`;
  const text = isStart ? range : `${values[state[kind]]}`;
  const input = byId(`${kind}-threshold`);
  input.max = values.length - 1;
  input.value = isStart ? nearest : state[kind];
  input.setAttribute("aria-valuetext", text);
  byId(`${kind}-value`).textContent = text;
}

function showPoint(curve, k) {
  const isMoved = state.which === ALL || Number(state.which) === k;
  const at = isMoved ? state.tag : START.tag;
  const point = tables.points[k][at];
  const threshold = tables.values.tag[at] ?? tables.start.tag[k];
  const dot = curve.querySelector("circle");
  const isDefined = !point.includes(null);
  dot.setAttribute("visibility", isDefined ? "visible" : "hidden");
  let rates = "no precision or recall";
  if (isDefined) {
    const [precision, recall] = point.map((share) => (100 * share).toFixed(1));
    dot.setAttribute("cx", `${recall}%`);
    dot.setAttribute("cy", `${100 - precision}%`);
    rates = `precision ${precision}, recall ${recall}`;
  }
  curve.querySelector(".rates").textContent = `at ${threshold}: ${rates}`;
  curve.setAttribute("aria-pressed", Number(state.which) === k);
}

function show() {
  KINDS.forEach(showSlider);
  KINDS.forEach(showFigures);
  document.querySelectorAll(".curve").forEach(showPoint);
}

function choose(which) {
  Object.assign(state, START, { which });
  byId("which-class").value = which;
  show();
}

function connectSliders() {
  for (const kind of KINDS) {
    byId(`${kind}-threshold`).addEventListener("input", (event) => {
      state[kind] = event.target.valueAsNumber;
      show();
    });
  }
  byId("which-class").addEventListener("change", (event) => choose(event.target.value));
  byId("reset").addEventListener("click", () => choose(ALL));
  document.querySelectorAll(".curve").forEach((curve, k) => {
    curve.addEventListener("click", () => choose(`${k}`));
  });
  choose(ALL);
}

function connectExamples() {
  const SHOWN_AT_ONCE = 6;
  const [kind, which, more] = [byId("which-kind"), byId("which-example"), byId("more")];
  let limit = SHOWN_AT_ONCE;
  function filter() {
    const selector = `.panel[data-kind]${kind.value}${which.value}`;
    let count = 0;
    for (const card of document.querySelectorAll(".card")) {
      const fits = card.querySelector(selector) !== null;
      card.hidden = !fits || count >= limit;
      if (card.hidden) card.querySelector("audio")?.pause();
      count += fits;
    }
    more.hidden = count <= limit;
    byId("how-many").textContent = count
      ? `${Math.min(limit, count)} of ${count} clips` : "no such clip in this page";
  }
  for (const select of [kind, which]) {
    select.addEventListener("change", () => {
      limit = SHOWN_AT_ONCE;
      filter();
    });
  }
  more.addEventListener("click", () => {
    limit += SHOWN_AT_ONCE;
    filter();
  });
  filter();
}

function connectCursor(card) {
  const LAST_S = 0.1; // Chromium gives up an MP3 that it is to decode from its very end
  const audio = card.querySelector("audio");
  const panels = card.querySelector(".panels");
  const seconds = Number(panels.dataset.seconds);
  const follow = () => {
    panels.style.setProperty("--at", Math.min(1, audio.currentTime / seconds));
    if (!audio.paused) requestAnimationFrame(follow);
  };
  audio.addEventListener("play", () => {
    document.querySelectorAll("audio").forEach((other) => {
      if (other !== audio) other.pause();
    });
    follow();
  });
  audio.addEventListener("seeking", follow);
  panels.addEventListener("click", (event) => {
    const box = panels.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * seconds;
    audio.currentTime = Math.max(0, Math.min(at, seconds - LAST_S));
  });
}

function connectTheme() {
  const root = document.documentElement;
  const isDark = () => (root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches);
  const button = byId("theme");
  button.setAttribute("aria-pressed", isDark());
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    button.setAttribute("aria-pressed", isDark());
  });
}

connectTheme();
connectSliders();
connectExamples();
document.querySelectorAll(".card:has(audio)").forEach(connectCursor);
