// Begins: reads the data, draws, and connects what can be moved.

function readContent() {
  const content = JSON.parse(byId("data").textContent);
  for (const part of [content.tagging, content.detection]) {
    for (const field of ["ranks", "tagRanks", "labels", "reference"]) {
      if (part && field in part) part[field] = bytesOf(part[field]);
    }
  }
  return content;
}

function connectTheme() {
  const isDark = () => {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  };
  const button = byId("theme");
  const say = () => button.setAttribute("aria-pressed", isDark());
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    say();
  });
  say();
}

function drawSystems(systems, chosen, detection) {
  drawIntervals(byId("tag-intervals"), systems, chosen, ["f1", "tag F1 in %", percent]);
  if (!detection) return;
  drawIntervals(byId("segment-intervals"), systems, chosen,
    ["segment_f1", "1-s F1 in %", percent]);
  drawIntervals(byId("error-intervals"), systems, chosen,
    ["error_rate", "error rate", (value) => fixed(value, 3)]);
}

function begin() {
  const content = readContent();
  connectTheme();
  const { systems, chosen, detection } = content;
  if (systems.length > 1) drawSystems(systems, chosen, detection);
  drawClasses(byId("class-bars"), content.classes, content.scores);
  if (content.curves) drawTraining(content.curves);
  let examples = null;
  const settings = makeSliders(content, () => examples?.moved());
  examples = makeExamples(content, settings);
  return { content, settings };
}

const report = begin();
