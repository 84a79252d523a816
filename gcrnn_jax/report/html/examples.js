// Clips as in Fig. 2 of the paper: what was heard, believed, and decided, in one time.

const LEFT = 42; // pixels of the figure before time 0, for the names of axes
const GAP = 6; // pixels from there to what is written above a panel
const NAMES = { "false alarm": "False alarm", miss: "Miss", hit: "Hit" };
const PAGE = 6; // cases shown at once

function makeExamples(content, settings) {
  const { cases, numCases } = content.examples;
  const [kinds, classes] = [byId("which-kind"), byId("which-example")];
  kinds.append(html("option", { value: "" }, "everything"));
  for (const [kind, name] of Object.entries(NAMES)) {
    const shown = cases.filter((one) => one.kind === kind).length;
    const said = `${name.toLowerCase()}s (${shown} of ${numCases[kind]})`;
    kinds.append(html("option", { value: kind }, said.replace("misss", "misses")));
  }
  classes.append(html("option", { value: "" }, "all classes"));
  content.classes.forEach((name, k) => classes.append(html("option", { value: k }, name)));

  let shown = PAGE;
  let figures = [];
  const watcher = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      watcher.unobserve(target);
      figures.push(drawCase(content, cases[Number(target.dataset.case)], target, settings));
    }
  }, { rootMargin: "600px" });

  function show() {
    const fits = cases.map((one, i) => [one, i]).filter(([one]) =>
      (!kinds.value || one.kind === kinds.value)
      && (!classes.value || one.class === Number(classes.value)));
    if (playing) playing.stop();
    figures = [];
    byId("cases").replaceChildren(...fits.slice(0, shown).map(([, i]) =>
      html("article", { class: "case", "data-case": i })));
    byId("cases").childNodes.forEach((card) => watcher.observe(card));
    byId("more").hidden = fits.length <= shown;
    const count = Math.min(shown, fits.length);
    byId("how-many").textContent = fits.length
      ? `${count} of ${fits.length} cases` : "no such case in this page";
  }
  for (const select of [kinds, classes]) {
    select.addEventListener("change", () => {
      shown = PAGE;
      show();
    });
  }
  byId("more").addEventListener("click", () => {
    const first = shown;
    shown += PAGE;
    show();
    byId("cases").childNodes[first]?.scrollIntoView({ block: "start" });
  });
  show();
  return { moved: () => figures.forEach((figure) => figure.moved()) };
}

function drawCase(content, one, card, settings) {
  const clip = content.examples.clips[one.clip];
  const name = content.classes[one.class];
  const button = html("button", { type: "button", class: "play", "aria-label": "Play" });
  const time = html("span", { class: "time" });
  const labelled = clip.classes.filter((of) => of.labelled)
    .map((of) => content.classes[of.class]);
  const said = labelled.length ? labelled.join("; ") : "none of the classes";
  const figure = html("div", {
    class: "figure", tabindex: 0, role: "slider", "aria-valuemin": 0,
    "aria-valuemax": clip.seconds.toFixed(1), "aria-label": `Position in ${clip.id}`,
  });
  card.append(
    html("header", {},
      html("span", { class: `badge ${one.kind.replace(" ", "-")}` }, NAMES[one.kind]),
      html("h3", {}, name),
      html("p", {}, `clip posterior ${fixed(one.posterior, 3)}; in the reference: ${said}`)),
    html("div", { class: "controls" }, button, time,
      html("span", { class: "file" }, clip.id)),
    figure);
  if (!clip.audio) {
    card.append(html("p", { class: "why" }, `No player: ${clip.whySilent}`));
  }
  let cursor = null;
  let x = null;
  let width = 0;
  const player = new Player({
    source: clip.audio, seconds: clip.seconds, figure, button,
    moved(seconds) {
      time.textContent = `${seconds.toFixed(1)} / ${clip.seconds.toFixed(1)} s`;
      if (cursor) cursor.setAttribute("transform", `translate(${x(seconds)} 0)`);
    },
  });
  const draw = (now) => {
    width = now;
    x = linear([0, clip.seconds], [LEFT, width - 8]);
    const drawn = drawClip(content, one, clip, { width, x, settings });
    cursor = drawn.cursor;
    cursor.setAttribute("transform", `translate(${x(player.at)} 0)`);
    return drawn.picture;
  };
  follow(figure, draw);
  const seekTo = (event) => {
    const at = event.clientX - figure.getBoundingClientRect().left;
    player.seek(((at - LEFT) / (width - 8 - LEFT)) * clip.seconds);
  };
  figure.addEventListener("pointerdown", (event) => {
    figure.setPointerCapture(event.pointerId);
    seekTo(event);
  });
  figure.addEventListener("pointermove", (event) => {
    if (figure.hasPointerCapture(event.pointerId)) seekTo(event);
  });
  return { moved: () => width && figure.replaceChildren(draw(width)) };
}
