// Thresholds that can be moved, the scores at them, and precision over recall.

const ALL = -1;

// settings.tag and settings.event: a place in each class's list of values.
function startSettings(content) {
  const of = (part) => part && part.sliders.map((slider) => slider.start);
  return { tag: of(content.tagging), event: of(content.detection) };
}

function scoresAt(content, settings) {
  const { tagging, detection } = content;
  const events = detection
    && scoreEvents(detection, tagging, settings.event, settings.tag);
  return { tags: scoreTags(tagging, settings.tag), events };
}

// The values a slider runs over: those of a class, or those that all classes share.
function valuesOf(part, selected) {
  if (selected !== ALL) return part.sliders[selected].values;
  return part.sliders[0].values.filter((value) =>
    part.sliders.every((slider) => slider.values.includes(value)));
}

function setThreshold(part, settings, selected, value) {
  part.sliders.forEach((slider, k) => {
    if (selected !== ALL && selected !== k) return;
    settings[k] = slider.values.indexOf(value);
  });
}

const TAG_SCORES = [
  ["tag F1", (at) => percent(at.tags.f1)],
  ["precision", (at) => percent(at.tags.precision)],
  ["recall", (at) => percent(at.tags.recall)],
  ["mean of classes", (at) => percent(at.tags.macroF1)],
];
const EVENT_SCORES = [
  ["1-s F1", (at) => percent(at.events.f1)],
  ["precision", (at) => percent(at.events.precision)],
  ["recall", (at) => percent(at.events.recall)],
  ["mean of classes", (at) => percent(at.events.macroF1)],
  ["error rate", (at) => fixed(at.events.errorRate, 3)],
  ["substitutions", (at) => fixed(at.events.substitutions, 3)],
  ["deletions", (at) => fixed(at.events.deletions, 3)],
  ["insertions", (at) => fixed(at.events.insertions, 3)],
];

function makeSliders(content, onMove) {
  const { tagging, detection, classes } = content;
  const settings = startSettings(content);
  const atStart = scoresAt(content, settings);
  const chooser = byId("which-class");
  let selected = ALL;

  chooser.append(html("option", { value: ALL }, "all classes"));
  classes.forEach((name, k) => chooser.append(html("option", { value: k }, name)));
  const sliders = [["tag", tagging], ["event", detection]].filter(([, part]) => part);
  const curves = makeCurves(content, (k) => choose(k));

  function showSlider(kind, part) {
    const input = byId(`${kind}-threshold`);
    const values = valuesOf(part, selected);
    const chosen = part.sliders.map((slider, k) => slider.values[settings[kind][k]]);
    const shown = selected === ALL ? chosen : [chosen[selected]];
    const [low, high] = [Math.min(...shown), Math.max(...shown)];
    const mean = shown.reduce((sum, value) => sum + value, 0) / shown.length;
    const distances = values.map((value) => Math.abs(value - mean));
    input.max = values.length - 1;
    input.value = distances.indexOf(Math.min(...distances));
    const said = low === high ? `${low}` : `${low}–${high} by class`;
    byId(`${kind}-value`).textContent = said;
    input.setAttribute("aria-valuetext", said);
  }

  function show() {
    const at = scoresAt(content, settings);
    sliders.forEach(([kind, part]) => showSlider(kind, part));
    showScores(byId("tag-scores"), TAG_SCORES, at, atStart);
    if (detection) showScores(byId("event-scores"), EVENT_SCORES, at, atStart);
    showClasses(byId("class-scores"), classes, at);
    curves.mark(settings.tag, selected);
    onMove(settings);
  }

  function choose(k) {
    selected = k;
    chooser.value = k;
    show();
  }

  let isWaiting = false; // many events a frame are one
  function soon() {
    if (isWaiting) return;
    isWaiting = true;
    requestAnimationFrame(() => {
      isWaiting = false;
      show();
    });
  }

  sliders.forEach(([kind, part]) => {
    byId(`${kind}-threshold`).addEventListener("input", (event) => {
      const value = valuesOf(part, selected)[event.target.valueAsNumber];
      setThreshold(part, settings[kind], selected, value);
      soon();
    });
  });
  chooser.addEventListener("change", () => choose(Number(chooser.value)));
  byId("reset").addEventListener("click", () => {
    Object.assign(settings, startSettings(content));
    choose(ALL);
  });
  show();
  return settings;
}

function showScores(container, kinds, at, atStart) {
  container.replaceChildren(...kinds.map(([name, of], i) => {
    const [now, before] = [of(at), of(atStart)];
    const moved = html("small", {}, now === before ? "" : `was ${before}`);
    const attributes = { class: i ? "" : "main", "data-score": name };
    const number = html("dd", attributes, now, moved);
    return html("div", {}, html("dt", {}, name), number);
  }));
}

function showClasses(body, classes, at) {
  body.replaceChildren(...classes.map((name, k) => {
    const [tags, events] = [at.tags.perClass[k], at.events && at.events.perClass[k]];
    const cells = [percent(tags.f1), percent(tags.precision), percent(tags.recall)];
    if (events) {
      cells.push(percent(events.f1), percent(events.precision),
        percent(events.recall), fixed(events.errorRate, 3));
    }
    const row = html("tr", {}, html("th", { scope: "row" }, name));
    row.append(...cells.map((cell) => html("td", {}, cell)));
    return row;
  }));
}

// A small chart a class: its curve, and where its threshold is on it.
function makeCurves(content, onChoose) {
  const { classes, precisionRecall, tagging, scores } = content;
  const box = { left: 30, right: 176, top: 26, bottom: 146 };
  const x = linear([0, 1], [box.left, box.right]);
  const y = linear([0, 1], [box.bottom, box.top]);
  const ticks = [0, 0.5, 1].map((value) => [value, percent(value, 0)]);
  const marks = classes.map((name, k) => {
    const mark = svg("circle", { r: 5, class: "dot chosen" });
    const names = { xName: "recall in %", yName: "precision in %" };
    const all = axes(box, { x, y, xTicks: ticks, yTicks: ticks, ...names });
    const curve = precisionRecall[k];
    if (curve.length) {
      const d = pathOf([[0, curve[0][1]], ...curve], x, y);
      all.append(svg("path", { d, class: "line accent" }), mark);
    }
    const label = `Precision over recall of ${name}`;
    const ap = percent(scores.tagging.per_class[name].average_precision, 1);
    const reads = html("span", { class: "reads" });
    const card = html("button", { type: "button", class: "curve", title: name },
      html("strong", {}, name), html("span", {}, `AP ${ap} %`),
      picture(184, 182, label, all), reads);
    card.addEventListener("click", () => onChoose(k));
    byId("curves").append(card);
    return { mark, card, reads };
  });
  return {
    mark(settings, selected) {
      marks.forEach(({ mark, card, reads }, k) => {
        const slider = tagging.sliders[k];
        const at = plainRates(tagging, k, slider.cut[settings[k]]);
        const isThere = Number.isFinite(at.precision) && Number.isFinite(at.recall);
        mark.setAttribute("visibility", isThere ? "visible" : "hidden");
        if (isThere) {
          mark.setAttribute("cx", x(at.recall));
          mark.setAttribute("cy", y(at.precision));
        }
        const value = slider.values[settings[k]];
        const rates = `precision ${percent(at.precision, 1)}, recall `
          + percent(at.recall, 1);
        reads.textContent = `at ${value}: ${rates}`;
        card.setAttribute("aria-pressed", selected === k);
      });
    },
  };
}
