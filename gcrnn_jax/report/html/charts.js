// The charts that do not change: intervals of scores, classes, training.

// A dot and a range a system, those far from the others at the edge with an arrow.
function drawIntervals(container, systems, chosen, [name, title, asText]) {
  follow(container, (width) => {
    const ends = systems.filter((system) => system.thresholds).flatMap(({ scores }) => {
      const { value, interval } = scores[name];
      return [value, interval.low, interval.high].filter((end) => end !== null);
    });
    const [low, high] = [Math.min(...ends), Math.max(...ends)];
    const margin = 0.08 * (high - low || 0.1);
    const isNarrow = width < 430;
    const step = isNarrow ? 38 : 26;
    const left = isNarrow ? 4 : 206;
    const box = { left, right: width - 10, top: 4, bottom: 8 + step * systems.length };
    const x = linear([low - margin, high + margin], [box.left, box.right]);
    const ticks = roundTicks(low - margin, high + margin, (box.right - left) / 70);
    const all = axes(box, {
      x, y: x, yTicks: [], xName: title,
      xTicks: ticks.map((value) => [value, asText(value, 0)]),
    });
    systems.forEach((system, i) => {
      const at = 4 + step * (i + 0.5) + (isNarrow ? 9 : 0);
      const is = i === chosen ? "chosen" : "other";
      const from = system.thresholds ? `, ${system.thresholds}` : "";
      const said = shortened(`${system.name}${from}`, isNarrow ? 46 : 30);
      const label = text(4, isNarrow ? at - 14 : at + 4, said);
      label.setAttribute("class", is);
      all.append(label);
      drawRange(all, system.scores[name], { x, box, at, is, asText });
    });
    return picture(width, box.bottom + 40, title, all);
  });
}

function shortened(name, most) {
  return name.length > most ? `${name.slice(0, most - 1)}…` : name;
}

function drawRange(all, { value, interval }, { x, box, at, is, asText }) {
  if (value === null) return;
  const place = x(value);
  if (place < box.left || place > box.right) {
    const isLeft = place < box.left;
    const said = isLeft ? `← ${asText(value, 1)}` : `${asText(value, 1)} →`;
    const anchor = { "text-anchor": isLeft ? "start" : "end", class: is };
    all.append(text(isLeft ? box.left : box.right, at + 4, said, anchor));
    return;
  }
  if (interval.low !== null) {
    const range = [interval.low, interval.high].map(x);
    all.append(line(range[0], at, range[1], at, { class: `bar ${is}` }));
  }
  const dot = { cx: place, cy: at, r: 4.5, class: `dot ${is}` };
  all.append(svg("circle", dot, svg("title", {}, asText(value, 2))));
}

function drawClasses(container, classes, scores) {
  const names = [...classes].sort((one, other) =>
    (scores.tagging.per_class[other].rates.f1 ?? -1)
    - (scores.tagging.per_class[one].rates.f1 ?? -1));
  follow(container, (width) => {
    const isNarrow = width < 620;
    const step = (isNarrow ? 22 : 6) + (scores.detection ? 34 : 20);
    const left = isNarrow ? 0 : Math.min(260, width * 0.32);
    const bottom = 4 + step * names.length;
    const box = { left, right: width - 52, top: 0, bottom };
    const x = linear([0, 1], [box.left, box.right]);
    const ticks = [0, 0.25, 0.5, 0.75, 1].map((value) => [value, percent(value, 0)]);
    const y = linear([0, 1], [0, 1]);
    const all = svg("g", {});
    for (const [value] of ticks) {
      all.append(line(x(value), 0, x(value), bottom, { class: "grid" }));
    }
    all.append(axes(box, { x, y, xTicks: ticks, yTicks: [], xName: "F1 in %" }));
    names.forEach((name, i) => {
      let top = 4 + step * i;
      if (isNarrow) {
        all.append(text(0, top + 14, name));
        top += 20;
      } else {
        const shown = shortened(name, 38);
        const attributes = { "text-anchor": "end", "dominant-baseline": "middle" };
        const label = text(left - 10, top + (step - 6) / 2, shown, attributes);
        label.append(svg("title", {}, name));
        all.append(label);
      }
      const bars = [["accent", scores.tagging.per_class[name].rates.f1]];
      if (scores.detection) {
        bars.push(["quiet", scores.detection.per_class[name].rates.f1]);
      }
      bars.forEach(([kind, f1], j) => {
        const at = { x: box.left, y: top + 16 * j, height: 13, rx: 2 };
        const length = Math.max(1, x(f1 ?? 0) - box.left);
        all.append(svg("rect", { ...at, width: length, class: `fill-${kind}` }));
        const end = { class: "value", "dominant-baseline": "middle" };
        all.append(text(x(f1 ?? 0) + 6, at.y + 7, percent(f1, 1), end));
      });
    });
    return picture(width, bottom + 40, "F1 of every class", all);
  });
}

function drawLines(container, { label, lines, xName, yName, asText, from = null }) {
  follow(container, (width) => {
    const right = lines.length > 1 ? 76 : 12;
    const box = { left: 44, right: width - right, top: 26, bottom: 230 };
    const points = lines.flatMap((one) => one.points).filter(([, b]) => b !== null);
    const xs = points.map(([a]) => a);
    const ys = points.map(([, b]) => b);
    const low = from ?? Math.min(...ys);
    const high = Math.max(...ys, low + 1e-6);
    const yTicks = roundTicks(low, high + 0.05 * (high - low), 5);
    const first = Math.min(0, ...xs);
    const x = linear([first, Math.max(...xs)], [box.left, box.right]);
    const top = Math.max(high, yTicks.at(-1) ?? high);
    const y = linear([low, top], [box.bottom, box.top]);
    const all = axes(box, {
      x, y, xName, yName,
      xTicks: roundTicks(first, Math.max(...xs), width / 90).map((v) => [v, `${v}`]),
      yTicks: yTicks.map((value) => [value, asText(value)]),
    });
    const ends = [];
    for (const { name, kind, points: of } of lines) {
      all.append(svg("path", { d: pathOf(of, x, y), class: `line ${kind}` }));
      const last = of.filter(([, b]) => b !== null).at(-1);
      if (last && lines.length > 1) ends.push({ name, kind, at: y(last[1]) });
    }
    ends.sort((one, other) => one.at - other.at); // names at the lines' ends, apart
    ends.forEach((end, i) => {
      if (i) end.at = Math.max(end.at, ends[i - 1].at + 15);
      const attributes = { class: `name ${end.kind}`, "dominant-baseline": "middle" };
      all.append(text(box.right + 8, end.at, end.name, attributes));
    });
    return picture(width, box.bottom + 40, label, all);
  });
}

function drawTraining(curves) {
  drawLines(byId("loss"), {
    label: "Loss over epochs", xName: "epoch", yName: "loss",
    lines: [{ name: "loss", kind: "accent", points: curves.loss }],
    asText: (value) => `${value}`, from: 0,
  });
  if (!curves.scores.length) return;
  const points = (field) => curves.scores.map((one) => [one.epoch, one[field] ?? null]);
  const lines = [
    { name: "mAP", kind: "accent", points: points("mean_average_precision") },
    { name: "tag F1", kind: "ink", points: points("tag_f1") },
    { name: "1-s F1", kind: "quiet", points: points("segment_f1") },
  ].filter((one) => one.points.some(([, value]) => value !== null));
  drawLines(byId("epoch-scores"), {
    label: "Scores over epochs", xName: "epoch", yName: "%", lines,
    asText: (value) => percent(value, 0), from: 0,
  });
}
