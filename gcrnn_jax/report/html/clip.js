// The picture of one clip: panels under each other, all in the same time.

function drawClip(content, one, clip, { width, x, settings }) {
  const all = svg("g", {});
  const right = width - 8;
  let top = 20;
  const panel = (title, height) => {
    all.append(text(LEFT + GAP, top - 6, title, { class: "panel" }));
    const box = { left: LEFT, right, top, bottom: top + height };
    top += height + 28;
    return box;
  };
  drawSpectrogram(content, clip, panel("log-mel spectrogram, kHz", 132), { all, x });
  const others = clip.classes.length > 1 ? "; the clip's other classes in grey" : "";
  drawBeliefs(content, one, clip, panel(`frame posteriors${others}`, 92),
    { all, x, settings });
  if (content.examples.hasAttention) {
    const box = panel("attention, of its greatest", 44);
    drawCurve(clip, one, "attention", box, { all, x });
  }
  top = drawEvents(content, one, clip, top, { all, x, settings });
  const seconds = roundTicks(0, clip.seconds, width / 70).map((s) => [s, `${s}`]);
  const box = { left: LEFT, right, top: 20, bottom: top };
  all.append(axes(box, {
    x, y: x, xTicks: seconds, yTicks: [], xName: "time in s",
  }));
  const cursor = svg("g", { class: "cursor" }, line(0, 14, 0, top),
    svg("circle", { cx: 0, cy: 14, r: 4 }));
  all.append(cursor);
  const label = `What the system makes of ${clip.id}`;
  return { picture: picture(width, top + 38, label, all), cursor };
}

function drawSpectrogram(content, clip, box, { all, x }) {
  const height = box.bottom - box.top;
  if (clip.picture) {
    all.append(svg("image", {
      href: clip.picture, x: box.left, y: box.top, height,
      width: x(clip.pictureSeconds) - box.left, preserveAspectRatio: "none",
    }));
  } else {
    all.append(text(box.left + 8, box.top + 24, "none without the recording"));
  }
  for (const [khz, place] of content.examples.frequencies) {
    const at = box.bottom - place * height;
    if (at < box.top + 4) continue;
    all.append(line(box.left - 4, at, box.left, at, { class: "tick" }));
    const attributes = { "text-anchor": "end", "dominant-baseline": "middle" };
    all.append(text(box.left - 6, at, `${khz}`, attributes));
  }
}

function shareTicks(box, all) {
  const y = linear([0, 1], [box.bottom, box.top]);
  for (const value of [0, 1]) {
    all.append(line(box.left, y(value), box.right, y(value), { class: "grid" }));
    const attributes = { "text-anchor": "end", "dominant-baseline": "middle" };
    all.append(text(box.left - 6, y(value), `${value}`, attributes));
  }
  return y;
}

// Frames as steps: frame t covers [t, t + 1) * hop.
function stepsOf(bytes, hop, seconds) {
  const points = [];
  bytes.forEach((value, t) => {
    if (t * hop >= seconds) return;
    points.push([t * hop, value / 255]);
    points.push([Math.min((t + 1) * hop, seconds), value / 255]);
  });
  return points;
}

function drawBeliefs(content, one, clip, box, { all, x, settings }) {
  const y = shareTicks(box, all);
  const lines = [...clip.classes].sort((a) => (a.class === one.class ? 1 : -1));
  for (const of of lines) {
    const d = pathOf(stepsOf(bytesOf(of.frames), clip.hop, clip.seconds), x, y);
    const kind = of.class === one.class ? "accent" : "faint";
    all.append(svg("path", { d, class: `line ${kind}` },
      svg("title", {}, content.classes[of.class])));
  }
  if (!settings.event) return;
  const slider = content.detection.sliders[one.class];
  const threshold = slider.values[settings.event[one.class]];
  all.append(line(box.left, y(threshold), box.right, y(threshold), { class: "limit" }));
  const said = `threshold ${threshold}`;
  const attributes = { class: "limit-name", "text-anchor": "end" };
  all.append(text(box.right, y(threshold) - 4, said, attributes));
}

function drawCurve(clip, one, field, box, { all, x }) {
  const y = shareTicks(box, all);
  const own = clip.classes.find((of) => of.class === one.class);
  const points = stepsOf(bytesOf(own[field]), clip.hop, clip.seconds);
  const end = points.at(-1)?.[0] ?? 0;
  const d = pathOf([[0, 0], ...points, [end, 0]], x, y);
  all.append(svg("path", { d, class: "area" }));
}

// A lane a class: the reference, what was detected, and what the sliders make of it.
function drawEvents(content, one, clip, top, { all, x, settings }) {
  const moved = hasMoved(content, settings) && clip.place >= 0;
  const kinds = [];
  if (clip.reference) kinds.push(["reference", clip.reference]);
  kinds.push(["detected", clip.detected]);
  if (moved) kinds.push(["moved", eventsAt(content, clip, settings)]);
  const names = { reference: "reference", detected: "detected", moved: "at the sliders" };
  let left = LEFT + GAP;
  for (const [kind] of kinds) {
    all.append(svg("rect", { x: left, y: top - 15, width: 14, height: 9, rx: 2,
      class: `event ${kind}` }));
    all.append(text(left + 20, top - 6, names[kind], { class: "panel" }));
    left += 34 + 6.6 * names[kind].length;
  }
  top += 16;
  for (const of of clip.classes) {
    const belief = `posterior ${fixed(of.posterior, 2)}${of.tagged ? ", tagged" : ""}`;
    const attributes = { class: of.class === one.class ? "lane own" : "lane" };
    all.append(text(LEFT + GAP, top, `${content.classes[of.class]}: ${belief}`, attributes));
    top += 6;
    for (const [kind, events] of kinds) {
      all.append(svg("rect", { x: LEFT, y: top, height: 9, class: "lane-floor",
        width: x(clip.seconds) - LEFT }));
      for (const [k, onset, offset] of events) {
        if (k !== of.class) continue;
        const end = Math.min(offset, clip.seconds);
        all.append(svg("rect", { x: x(onset), y: top, height: 9, rx: 2,
          width: Math.max(1.5, x(end) - x(onset)), class: `event ${kind}` }));
      }
      top += 11;
    }
    top += 16;
  }
  return top - 4;
}

function hasMoved(content, settings) {
  const isElsewhere = (part, at) =>
    part && part.sliders.some((slider, k) => slider.start !== at[k]);
  return Boolean(content.detection) && (isElsewhere(content.tagging, settings.tag)
    || isElsewhere(content.detection, settings.event));
}

// Events of one clip at the sliders' thresholds, as [class, onset, offset].
function eventsAt(content, clip, settings) {
  const { tagging, detection } = content;
  const [K, T, n] = [detection.sliders.length, detection.frames, clip.place];
  const gate = tagsOf(detection.tagRanks.subarray(n * K, (n + 1) * K),
    [detection.greatest[n]], cutsAt(tagging.sliders, settings.tag), tagging.atLeastOne);
  const cuts = cutsAt(detection.sliders, settings.event);
  const lowCuts = cutsAt(detection.sliders, settings.event, "lowCut");
  const roll = new Uint8Array(T);
  const events = [];
  for (let k = 0; k < K; k++) {
    if (detection.gated && !gate[k]) continue;
    detect(detection.ranks, n * T * K + k, K, cuts[k], lowCuts[k], detection, roll);
    for (let t = 0; t < T; t++) {
      if (!roll[t]) continue;
      const first = t;
      while (t < T && roll[t]) t++;
      events.push([k, first * clip.hop, t * clip.hop]);
    }
  }
  return events;
}
