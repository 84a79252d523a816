// The charts that do not change: intervals of scores, classes, training.

function drawIntervals(container, systems, chosen, [name, title, asText]) {
  follow(container, (width) => {
    const rows = systems.filter((system) => system.scores[name].value !== null);
    const ends = rows.flatMap(({ scores }) => [
      scores[name].value, scores[name].interval.low, scores[name].interval.high]);
    const shown = ends.filter((value) => value !== null && value <= 1.5);
    const [low, high] = [Math.min(...shown), Math.max(...shown)];
    const margin = 0.06 * (high - low || 0.1);
    const step = 34;
    const box = { left: 4, right: width - 4, top: 8, bottom: 8 + step * rows.length };
    const x = linear([low - margin, high + margin], [box.left + 6, box.right - 6]);
    const y = linear([0, 1], [0, 1]);
    const ticks = roundTicks(low - margin, high + margin, width / 90);
    const all = axes(box, {
      x, y, yTicks: [], xName: title,
      xTicks: ticks.map((value) => [value, asText(value, 0)]),
    });
    rows.forEach((system, i) => {
      const at = 8 + step * i + 24;
      const { value, interval } = system.scores[name];
      const is = system === systems[chosen] ? "chosen" : "other";
      const from = system.thresholds ? `, ${system.thresholds}` : "";
      all.append(text(box.left, at - 10, `${system.name}${from}`, { class: is }));
      if (value > high + margin) {
        const beyond = { "text-anchor": "end", class: is };
        all.append(text(box.right, at + 3, `${asText(value, 2)} →`, beyond));
        return;
      }
      if (interval.low !== null) {
        const right = Math.min(interval.high, high + margin);
        all.append(line(x(interval.low), at, x(right), at, { class: `bar ${is}` }));
      }
      all.append(svg("circle", { cx: x(value), cy: at, r: 4.5, class: `dot ${is}` }));
    });
    return picture(width, box.bottom + 40, title, all);
  });
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
        const shown = name.length > 38 ? `${name.slice(0, 36)}…` : name;
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
