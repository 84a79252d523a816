"use strict";

// Scores at any thresholds, by the rules of detection/postprocess.py,
// metrics/tagging.py and metrics/segment.py. A setting is a place in the list of
// values of each class's slider; a posterior exceeds cut i if its rank exceeds i.

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

function ratesOf(hits, estimated, reference) {
  const total = estimated + reference;
  return {
    precision: estimated ? hits / estimated : NaN,
    recall: reference ? hits / reference : NaN,
    f1: total ? (2 * hits) / total : NaN,
  };
}

function meanDefined(values) {
  const defined = values.filter((value) => !Number.isNaN(value));
  return defined.reduce((sum, value) => sum + value, 0) / (defined.length || NaN);
}

// The cuts of all classes at a setting: of the threshold, or of its hysteresis share.
function cutsAt(sliders, settings, which = "cut") {
  return sliders.map((slider, k) => slider[which][settings[k]]);
}

function tagsOf(ranks, greatest, cuts, atLeastOne) {
  const K = cuts.length;
  const tags = new Uint8Array(ranks.length);
  for (let n = 0; n < greatest.length; n++) {
    let any = false;
    for (let k = 0; k < K; k++) {
      if (ranks[n * K + k] > cuts[k]) {
        tags[n * K + k] = 1;
        any = true;
      }
    }
    if (atLeastOne && !any) tags[n * K + greatest[n]] = 1;
  }
  return tags;
}

// Micro rates, the mean of the classes' F1, and every class.
function scoreTags(tagging, settings) {
  const cuts = cutsAt(tagging.sliders, settings);
  const tags = tagsOf(tagging.ranks, tagging.greatest, cuts, tagging.atLeastOne);
  return ratesOfRolls(tags, tagging.labels, cuts.length);
}

function ratesOfRolls(estimated, reference, K) {
  const counts = Array.from({ length: K }, () => [0, 0, 0]);
  for (let i = 0; i < estimated.length; i++) {
    const of = counts[i % K];
    of[0] += estimated[i] & reference[i];
    of[1] += estimated[i];
    of[2] += reference[i];
  }
  const perClass = counts.map(([hits, est, ref]) => ({
    ...ratesOf(hits, est, ref),
    errorRate: ref ? (est + ref - 2 * hits) / ref : NaN,
    estimated: est,
    reference: ref,
  }));
  const sums = [0, 1, 2].map((i) => counts.reduce((sum, of) => sum + of[i], 0));
  const macroF1 = meanDefined(perClass.map((of) => of.f1));
  return { ...ratesOf(...sums), macroF1, perClass };
}

// Precision and recall of one class by its threshold alone, as its curve has them.
function plainRates(tagging, k, cut) {
  const K = tagging.sliders.length;
  let [hits, estimated, reference] = [0, 0, 0];
  for (let i = k; i < tagging.ranks.length; i += K) {
    const is = tagging.ranks[i] > cut ? 1 : 0;
    hits += is & tagging.labels[i];
    estimated += is;
    reference += tagging.labels[i];
  }
  return ratesOf(hits, estimated, reference);
}

// Active frames of one class of one clip, into `roll`, whose length is that of the clip.
function detect(ranks, first, stride, cut, lowCut, rules, roll) {
  const length = roll.length;
  for (let t = 0; t < length; t++) roll[t] = ranks[first + t * stride] > cut ? 1 : 0;
  if (rules.hysteresis) {
    const isLow = (t) => ranks[first + t * stride] > lowCut;
    for (let t = 1; t < length; t++) if (roll[t - 1] && isLow(t)) roll[t] = 1;
    for (let t = length - 2; t >= 0; t--) if (roll[t + 1] && isLow(t)) roll[t] = 1;
  }
  runningMedian(roll, (rules.median - 1) >> 1);
  fillGaps(roll, rules.maxGap);
  removeShort(roll, rules.minEvent);
}

function runningMedian(roll, reach) {
  if (reach < 1) return;
  const before = new Int32Array(roll.length + 1); // active frames before frame t
  for (let t = 0; t < roll.length; t++) before[t + 1] = before[t] + roll[t];
  for (let t = 0; t < roll.length; t++) {
    const first = Math.max(t - reach, 0);
    const end = Math.min(t + reach + 1, roll.length);
    roll[t] = before[end] - before[first] > reach ? 1 : 0;
  }
}

function fillGaps(roll, maxGap) {
  let last = -1; // the last active frame so far
  for (let t = 0; t < roll.length; t++) {
    if (!roll[t]) continue;
    if (last >= 0 && t - last - 1 <= maxGap) roll.fill(1, last, t);
    last = t;
  }
}

function removeShort(roll, minFrames) {
  for (let t = 0; t < roll.length; ) {
    const first = t;
    while (t < roll.length && roll[t] === roll[first]) t++;
    if (roll[first] && t - first < minFrames) roll.fill(0, first, t);
  }
}

// Segments of 1 s that events touch, of all clips: [N, S, K] in a row.
function segmentsOf(detection, tagging, settings, tagSettings) {
  const { frames: T, segments: S, firstSegment, endSegment } = detection;
  const cuts = cutsAt(detection.sliders, settings);
  const lowCuts = cutsAt(detection.sliders, settings, "lowCut");
  const K = cuts.length;
  const tagCuts = cutsAt(tagging.sliders, tagSettings);
  const gate = tagsOf(
    detection.tagRanks, detection.greatest, tagCuts, tagging.atLeastOne);
  const segments = new Uint8Array(detection.clips * S * K);
  const roll = new Uint8Array(T);
  for (let n = 0; n < detection.clips; n++) {
    for (let k = 0; k < K; k++) {
      if (detection.gated && !gate[n * K + k]) continue;
      detect(detection.ranks, n * T * K + k, K, cuts[k], lowCuts[k], detection, roll);
      for (let t = 0; t < T; t++) {
        if (!roll[t]) continue;
        const end = Math.min(endSegment[t], S);
        for (let s = firstSegment[t]; s < end; s++) segments[(n * S + s) * K + k] = 1;
      }
    }
  }
  return segments;
}

function scoreEvents(detection, tagging, settings, tagSettings) {
  const K = detection.sliders.length;
  const { reference } = detection;
  const segments = segmentsOf(detection, tagging, settings, tagSettings);
  let [S, D, I, total] = [0, 0, 0, 0];
  for (let first = 0; first < segments.length; first += K) {
    let [hits, est, ref] = [0, 0, 0];
    for (let i = first; i < first + K; i++) {
      hits += segments[i] & reference[i];
      est += segments[i];
      ref += reference[i];
    }
    S += Math.min(ref, est) - hits;
    D += Math.max(0, ref - est);
    I += Math.max(0, est - ref);
    total += ref;
  }
  const share = (count) => (total ? count / total : NaN);
  return {
    ...ratesOfRolls(segments, reference, K),
    errorRate: share(S + D + I),
    substitutions: share(S),
    deletions: share(D),
    insertions: share(I),
  };
}

// As Python prints numbers: a tie goes to the even digit.
function fixed(value, digits) {
  if (value === null || !Number.isFinite(value)) return "–";
  const text = value.toFixed(digits);
  const halves = value * 2 ** (digits + 1); // odd whole numbers are the only ties
  const isTie = Number.isInteger(halves) && halves % 2 !== 0;
  if (!isTie || Number(text.at(-1)) % 2 === 0) return text;
  return (Number(text) - 10 ** -digits).toFixed(digits);
}

function percent(ratio, digits = 2) {
  return fixed(ratio === null ? null : 100 * ratio, digits);
}
