"use strict";
(() => {
  const tip = document.getElementById("tip");
  let shown = null;

  function show(point) {
    shown = point;
    tip.textContent = point.getAttribute("aria-label");
    tip.hidden = false;
    const at = point.getBoundingClientRect();
    const width = tip.offsetWidth;
    const left = at.left + at.width / 2 - width / 2;
    const above = at.top - tip.offsetHeight - 6;
    tip.style.left = `${Math.max(8, Math.min(left, document.documentElement.clientWidth - width - 8))}px`;
    tip.style.top = `${above > 4 ? above : at.bottom + 6}px`;
  }

  function hide() {
    shown = null;
    tip.hidden = true;
  }

  function step(point, key) {
    const points = [...point.parentNode.children];
    const at = points.indexOf(point);
    const next = {
      ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1,
      Home: 0, End: points.length - 1,
    }[key];
    return next === undefined ? null : points[Math.max(0, Math.min(next, points.length - 1))];
  }

  for (const layer of document.querySelectorAll(".points")) {
    layer.addEventListener("pointerover", (event) => {
      if (event.target.matches("circle")) show(event.target);
    });
    layer.addEventListener("pointerout", hide);
    layer.addEventListener("focusin", (event) => show(event.target));
    layer.addEventListener("focusout", hide);
    layer.addEventListener("keydown", (event) => {
      if (event.key === "Escape") return hide();
      const next = step(event.target, event.key);
      if (!next) return;
      event.preventDefault();
      event.target.setAttribute("tabindex", "-1");
      next.setAttribute("tabindex", "0");
      next.focus();
    });
  }

  // A drawing's title would come up as a second tooltip; its name is kept in a label.
  for (const drawing of document.querySelectorAll("svg.drawing")) {
    const title = drawing.querySelector("title");
    drawing.setAttribute("aria-label", title.textContent);
    drawing.removeAttribute("aria-labelledby");
    drawing.setAttribute("aria-describedby", drawing.querySelector("desc").id);
    title.remove();
  }

  window.addEventListener("scroll", () => shown && show(shown), { passive: true });

  // Print every collapsed part, and fold it again after.
  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const one of opened) one.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const one of opened) one.open = false;
  });
})();
