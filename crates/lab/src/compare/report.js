"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const state = { clip: 0, a: 0, b: 1, mode: "grid", at: 0, split: 0.5, scale: 1, x: 0, y: 0, playing: null };
  const hasViewer = byId("viewer") !== null;

  const clip = () => data.clips[state.clip];
  const colour = (index) => `hsl(${(index * 137.5) % 360} 65% 50%)`;
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  function make(name, attributes = {}, ...children) {
    const svg = ["svg", "line", "polyline", "circle", "text", "title", "rect"].includes(name);
    const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  }

  // All places of the clip at which any view has a frame of its own.
  function positions() {
    const all = clip().views.flatMap((view) => view.positions.map((at) => Math.round(at * 1e6) / 1e6));
    return [...new Set(all)].sort((a, b) => a - b);
  }

  function nearest(view, place) {
    let best = 0;
    view.positions.forEach((at, number) => {
      if (Math.abs(at - place) < Math.abs(view.positions[best] - place) - 1e-6) best = number;
    });
    return best;
  }

  function image(view) {
    const picture = make("img", { draggable: "false", alt: view.name });
    picture.view = view;
    return picture;
  }

  function pane(views, kind) {
    const box = make("div", { class: `pane ${kind}` });
    box.style.aspectRatio = `${clip().width} / ${clip().height}`;
    box.append(...views.map(image));
    if (kind === "slider") {
      const bar = make("div", { class: "bar", id: "bar" });
      bar.addEventListener("pointerdown", (event) => {
        event.stopPropagation();
        bar.setPointerCapture(event.pointerId);
      });
      bar.addEventListener("pointermove", (event) => {
        if (!bar.hasPointerCapture(event.pointerId)) return;
        const box = bar.parentElement.getBoundingClientRect();
        state.split = clamp((event.clientX - box.left) / box.width, 0, 1);
        place();
      });
      box.append(bar);
    }
    box.addEventListener("wheel", zoom, { passive: false });
    box.addEventListener("pointerdown", (event) => box.setPointerCapture(event.pointerId));
    box.addEventListener("pointermove", (event) => {
      if (!box.hasPointerCapture(event.pointerId)) return;
      const size = box.getBoundingClientRect();
      move(state.x + event.movementX / size.width, state.y + event.movementY / size.height);
    });
    return make("figure", {}, make("figcaption", {}, views.map((view) => view.name).join(" | ")), box);
  }

  // Where pictures lie is in parts of a pane, so that it is the same in panes of any size.
  function move(x, y) {
    state.x = clamp(x, 1 - state.scale, 0);
    state.y = clamp(y, 1 - state.scale, 0);
    place();
  }

  function zoom(event) {
    event.preventDefault();
    const box = event.currentTarget.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    const scale = clamp(state.scale * Math.exp(-event.deltaY / 300), 1, 32);
    const by = scale / state.scale;
    state.scale = scale;
    move(x - (x - state.x) * by, y - (y - state.y) * by);
  }

  function place() {
    for (const box of document.querySelectorAll(".pane")) {
      box.classList.toggle("close", state.scale > 3);
      for (const picture of box.querySelectorAll("img")) {
        picture.style.transform = `translate(${state.x * 100}%, ${state.y * 100}%) scale(${state.scale})`;
      }
      const bar = box.querySelector(".bar");
      if (bar === null) continue;
      bar.style.left = `${state.split * 100}%`;
      const edge = (state.split - state.x) / state.scale;
      box.querySelectorAll("img")[1].style.clipPath = `inset(0 0 0 ${edge * 100}%)`;
    }
  }

  function build() {
    const views = clip().views;
    const [a, b] = [views[state.a], views[Math.min(state.b, views.length - 1)]];
    const panes = {
      grid: () => views.map((view) => pane([view], "grid")),
      slider: () => [pane([a, b], "slider")],
      heat: () => [pane([a, b], "heat")],
    };
    byId("stage").replaceChildren(...panes[state.mode]());
    byId("stage").classList.toggle("one", state.mode !== "grid");
    for (const mode of Object.keys(panes)) byId(`mode-${mode}`).setAttribute("aria-pressed", mode === state.mode);
    show();
    place();
  }

  function show() {
    const all = positions();
    state.at = clamp(state.at, 0, all.length - 1);
    const here = all[state.at];
    if (hasViewer) {
      byId("frame").max = all.length - 1;
      byId("frame").value = state.at;
      byId("place").textContent = `${here.toFixed(2).replace(/\.?0+$/, "")} of ${clip().views[0].positions.length - 1}`;
      for (const picture of document.querySelectorAll(".pane img")) {
        const source = picture.view.pictures[nearest(picture.view, here)];
        if (picture.getAttribute("src") !== source) picture.src = source;
      }
    }
    const mark = byId("mark");
    if (mark !== null) for (const end of ["x1", "x2"]) mark.setAttribute(end, mark.across(here));
  }

  function choose(mode) {
    state.mode = mode;
    build();
  }

  function step(by) {
    const count = positions().length;
    state.at = (state.at + by + count) % count;
    show();
  }

  function play() {
    if (state.playing !== null) clearInterval(state.playing);
    const all = positions();
    const rate = clip().rate * (all.length - 1) / Math.max(all[all.length - 1], 1);
    state.playing = state.playing === null ? setInterval(() => step(1), 1000 / Math.min(rate, 60)) : null;
    byId("play").textContent = state.playing === null ? "play" : "stop";
  }

  // A plot with axes: returns it with the functions that place values on it.
  function plot(xs, ys, xTitle, yTitle, xText = (x) => x.toPrecision(3)) {
    const [width, height, left, bottom, right] = [900, 320, 60, 40, 30];
    const span = (values) => {
      const [low, high] = [Math.min(...values), Math.max(...values)];
      const room = (high - low || Math.abs(high) || 1) * 0.05;
      return [low - room, high + room];
    };
    const [[x0, x1], [y0, y1]] = [span(xs), span(ys)];
    const across = (x) => left + (x - x0) / (x1 - x0) * (width - left - right);
    const down = (y) => height - bottom - (y - y0) / (y1 - y0) * (height - bottom - 10);
    const svg = make("svg", { class: "plot", viewBox: `0 0 ${width} ${height}` });
    svg.append(make("polyline", { class: "axis", points: `${left},10 ${left},${height - bottom} ${width - right},${height - bottom}` }));
    for (let i = 0; i <= 4; i++) {
      const [x, y] = [x0 + (x1 - x0) * i / 4, y0 + (y1 - y0) * i / 4];
      svg.append(make("text", { x: across(x), y: height - bottom + 16, "text-anchor": "middle" }, xText(x)));
      svg.append(make("text", { x: left - 5, y: down(y) + 4, "text-anchor": "end" }, y.toPrecision(3)));
    }
    svg.append(make("text", { x: width / 2, y: height - 6, "text-anchor": "middle" }, xTitle));
    svg.append(make("text", { x: left + 8, y: 20 }, yTitle));
    return { svg, across, down, height, bottom };
  }

  function curves() {
    const measure = data.measures[byId("measure").value];
    const lines = clip().views.map((view, index) => {
      const made = (view.frames || []).filter((frame) => typeof frame[measure.key] === "number");
      return { name: view.name, index, points: made.map((frame) => [frame.position, frame[measure.key]]) };
    }).filter((line) => line.points.length > 0);
    const target = byId("curves");
    if (lines.length === 0) {
      target.replaceChildren(make("p", { class: "note" }, "There is nothing of it here."));
      return;
    }
    const points = lines.flatMap((line) => line.points);
    const { svg, across, down, height, bottom } =
      plot(points.map((point) => point[0]), points.map((point) => point[1]), "frame", measure.title);
    for (const line of lines) {
      const at = line.points.map(([x, y]) => `${across(x)},${down(y)}`).join(" ");
      svg.append(make("polyline", { points: at, fill: "none", stroke: colour(line.index), "stroke-width": 1.5 }));
      for (const [x, y] of line.points) {
        svg.append(make("circle", { cx: across(x), cy: down(y), r: 2.5, fill: colour(line.index) },
          make("title", {}, `${line.name}: ${y.toFixed(measure.digits)}`)));
      }
    }
    const mark = make("line", { id: "mark", class: "axis", y1: 10, y2: height - bottom });
    mark.across = across;
    svg.append(mark);
    svg.addEventListener("click", (event) => {
      const box = svg.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width * 900;
      const all = positions();
      const away = all.map((at) => Math.abs(across(at) - x));
      state.at = away.indexOf(Math.min(...away));
      show();
    });
    const keys = lines.map((line) => {
      const box = make("i");
      box.style.background = colour(line.index);
      return make("span", { class: "key" }, box, line.name);
    });
    target.replaceChildren(svg, ...keys);
    show();
  }

  function scatter() {
    const points = clip().views
      .map((view, index) => ({ view, index }))
      .filter(({ view }) => typeof view.quality === "number" && view.ms_a_frame > 0);
    const target = byId("scatter");
    if (points.length === 0) {
      target.replaceChildren(make("p", { class: "note" }, "There are no true frames to compare with."));
      return;
    }
    // Times are far apart: by their logarithm.
    const x = ({ view }) => Math.log10(view.ms_a_frame);
    const { svg, across, down } = plot(points.map(x), points.map(({ view }) => view.quality),
      "milliseconds a synthesised frame", "SSIMULACRA2", (power) => (10 ** power).toPrecision(2));
    const line = points.filter(({ view }) => view.best).sort((a, b) => x(a) - x(b));
    const at = line.map((point) => `${across(x(point))},${down(point.view.quality)}`).join(" ");
    svg.append(make("polyline", { id: "best-line", points: at, fill: "none", stroke: "var(--ours)", "stroke-dasharray": "4" }));
    for (const point of points) {
      const { view, index } = point;
      const [cx, cy] = [across(x(point)), down(view.quality)];
      const text = `${view.name}: ${view.ms_a_frame.toFixed(2)} ms, ${view.quality.toFixed(2)}`;
      svg.append(make("circle", { cx, cy, r: view.ours ? 6 : 4, fill: colour(index) }, make("title", {}, text)));
      const side = cx > 600 ? { x: cx - 9, "text-anchor": "end" } : { x: cx + 9 };
      svg.append(make("text", { ...side, y: cy + 4 }, view.name));
    }
    target.replaceChildren(svg);
  }

  function options(select, names, chosen) {
    select.replaceChildren(...names.map((name, number) => make("option", { value: number }, name)));
    select.value = chosen;
  }

  function open() {
    if (hasViewer) {
      const names = clip().views.map((view) => view.name);
      const [a, b] = [clamp(state.a, 0, names.length - 1), clamp(state.b, 0, names.length - 1)];
      Object.assign(state, { a, b });
      options(byId("a"), names, a);
      options(byId("b"), names, b);
      build();
    }
    curves();
    scatter();
  }

  options(byId("measure"), data.measures.map((measure) => measure.title), 0);
  byId("measure").addEventListener("change", curves);
  options(byId("clip"), data.clips.map((one) => one.name), 0);
  byId("clip").addEventListener("change", (event) => {
    Object.assign(state, { clip: Number(event.target.value), at: 0 });
    open();
  });
  if (hasViewer) {
    for (const side of ["a", "b"]) {
      byId(side).addEventListener("change", (event) => {
        state[side] = Number(event.target.value);
        if (state.mode === "grid") state.mode = "slider";
        build();
      });
    }
    for (const mode of ["grid", "slider", "heat"]) byId(`mode-${mode}`).addEventListener("click", () => choose(mode));
    byId("play").addEventListener("click", play);
    byId("frame").addEventListener("input", (event) => {
      state.at = Number(event.target.value);
      show();
    });
    const keys = {
      ArrowLeft: () => step(-1),
      ArrowRight: () => step(1),
      " ": play,
      1: () => choose("grid"),
      2: () => choose("slider"),
      3: () => choose("heat"),
      0: () => { state.scale = 1; move(0, 0); },
    };
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey || event.target.tagName === "SELECT") return;
      const act = keys[event.key];
      if (act === undefined) return;
      event.preventDefault();
      act();
    });
  }
  open();
})();
