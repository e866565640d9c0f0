"use strict";
// A chart that was folded away had no width to fill.
for (const fold of document.querySelectorAll("details")) {
  fold.addEventListener("toggle", () => window.dispatchEvent(new Event("resize")));
}
// Replaces each still picture by its interactive chart. Where that fails, the still picture stays.
for (const [key, spec] of Object.entries(JSON.parse(document.getElementById("chart-specifications").textContent))) {
  const figure = document.getElementById("chart-" + key);
  const live = figure.querySelector(".live");
  figure.classList.add("drawn");
  window
    .vegaEmbed(live, spec, { mode: "vega-lite", renderer: "svg", actions: false, ast: true })
    .catch((failure) => {
      figure.classList.remove("drawn");
      console.error("chart " + key + ": " + failure.message);
    });
}
