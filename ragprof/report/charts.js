"use strict";
// Replaces a still picture by its interactive chart when it is first seen: what is folded away has no width to fill, and
// drawing everything at once would hold up the page. Where it fails, the still picture stays.
const specifications = JSON.parse(document.getElementById("chart-specifications").textContent);
const seen = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    target.classList.add("drawn");
    window
      .vegaEmbed(target.querySelector(".live"), specifications[target.id.slice("chart-".length)],
        { mode: "vega-lite", renderer: "svg", actions: false, ast: true })
      .catch((failure) => {
        target.classList.remove("drawn");
        console.error(target.id + ": " + failure.message);
      });
  }
}, { rootMargin: "400px" });
for (const key of Object.keys(specifications)) seen.observe(document.getElementById("chart-" + key));
