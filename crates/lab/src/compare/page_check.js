// Runs in the page, behind its own script: moves what can be moved, and writes what it saw into the page.
(async () => {
  "use strict";
  const wrong = window.pageErrors;
  const check = (holds, words) => { if (!holds) wrong.push(words); };
  const byId = (id) => document.getElementById(id);
  const press = (key) => document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  const pictures = () => [...document.querySelectorAll(".pane img")];
  const loaded = async () => {
    for (let tries = 0; tries < 100 && !pictures().every((picture) => picture.complete); tries++) {
      await new Promise((done) => setTimeout(done, 20));
    }
    check(pictures().every((picture) => picture.naturalWidth > 0), "a picture is not loaded");
  };
  await loaded();
  check(pictures().length === byId("a").options.length, "not every view is in the grid");

  const shown = () => pictures()[0].getAttribute("src");
  const first = shown();
  press("ArrowRight");
  check(byId("frame").value === "1" && shown() !== first, "the arrow key shows no other frame");
  await loaded();
  press("ArrowLeft");
  check(shown() === first, "the way back leads elsewhere");
  byId("frame").value = "2";
  byId("frame").dispatchEvent(new Event("input"));
  check(shown() !== first, "the slider of frames shows no other frame");

  const transforms = () => new Set(pictures().map((picture) => picture.style.transform));
  const still = [...transforms()][0];
  const pane = document.querySelector(".pane");
  const box = pane.getBoundingClientRect();
  pane.dispatchEvent(new WheelEvent("wheel", { deltaY: -300, clientX: box.left + 10, clientY: box.top + 10, cancelable: true }));
  check(transforms().size === 1 && [...transforms()][0] !== still, "panes don't zoom together");
  press("0");
  check([...transforms()][0].includes("scale(1)"), "0 doesn't show the whole picture");

  press("2");
  check(pictures().length === 2, "the slider has other than two pictures");
  const clip = pictures()[1].style.clipPath;
  const bar = byId("bar");
  bar.setPointerCapture = () => {};
  bar.hasPointerCapture = () => true;
  const around = bar.parentElement.getBoundingClientRect();
  const event = new Event("pointermove");
  Object.assign(event, { pointerId: 1, clientX: around.left + around.width / 4 });
  bar.dispatchEvent(event);
  check(pictures()[1].style.clipPath !== clip && bar.style.left === "25%", "the slider doesn't move");
  await loaded();

  press("3");
  check(getComputedStyle(document.querySelector(".pane")).filter.includes("heat"), "no heat map");
  press("1");
  check(byId("curves").querySelectorAll("polyline").length > 1, "no curves");
  check(byId("scatter").querySelectorAll("circle").length > 1, "no scatter");
  const best = byId("best-line");
  check(best !== null && best.getAttribute("points").length > 0, "no best line");

  const at = byId("frame").value;
  press(" ");
  let plays = false;
  for (let tries = 0; tries < 50 && !plays; tries++) {
    await new Promise((done) => setTimeout(done, 20));
    plays = byId("frame").value !== at;
  }
  press(" ");
  check(plays, "it doesn't play");

  const far = performance.getEntriesByType("resource").filter((entry) => /^(https?|wss?|ftp):/.test(entry.name));
  check(far.length === 0, `loaded from a host: ${far.map((entry) => entry.name)}`);
  document.title = `checked: ${wrong.length === 0 ? "all is well" : wrong.join("; ")}`;
})().catch((error) => { document.title = `checked: ${error}`; });
