"""Scripts that pages are asked in a browser: which labels overlap, and which are cut off."""

from __future__ import annotations

OVERLAPS = """() => [...document.querySelectorAll("svg.drawing")].flatMap(svg => {
    const texts = [...svg.querySelectorAll("text")];
    const boxes = texts.map(text => text.getBoundingClientRect());
    return texts.flatMap((text, i) => texts.slice(i + 1).flatMap((other, k) => {
        const [a, b] = [boxes[i], boxes[i + 1 + k]];
        const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        return across > 1 && down > 3 ? [`${text.textContent} | ${other.textContent}`] : [];
    }));
})"""

CUT = """() => [...document.querySelectorAll("svg.drawing text")].filter(text => {
    const box = text.getBoundingClientRect();
    return box.width > 0 && (box.left < 0 || box.right > innerWidth);
}).map(text => text.textContent)"""
