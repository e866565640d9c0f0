"use strict";
// A link to a part, or into one, opens it; the contents mark the part that is being read.
const parts = [...document.querySelectorAll("details.part")];
const links = new Map([...document.querySelectorAll(".contents a")].map((link) => [link.hash.slice(1), link]));
const opened = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let fold = target?.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  (target?.closest("details.part") ?? target)?.scrollIntoView();
};
window.addEventListener("hashchange", opened);
document.querySelector(".contents").addEventListener("click", ({ target }) => target.hash === location.hash && opened());
if (location.hash) opened();
const mark = () => {
  const read = parts.findLast((part) => part.getBoundingClientRect().top < innerHeight / 3);
  for (const [key, link] of links) {
    if (read?.querySelector("section").id === key) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
};
document.addEventListener("scroll", mark, { passive: true });
mark();
for (const button of document.querySelectorAll("button.all")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const open = parts.some((part) => !part.open);
    for (const part of parts) part.open = open;
  });
}
