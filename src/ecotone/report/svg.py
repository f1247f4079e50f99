"""matplotlib drawings as SVG that takes its colours from the page and tells its points' values.

A drawing is made with marker colours that stand for CSS variables; they are put in their place
when it is written out, so one drawing serves the light page, the dark page and the printer.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from xml.etree import ElementTree

from markupsafe import Markup
from matplotlib import style
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from ecotone.report.text import clean

__all__ = [
    "GENERALIZING",
    "GRID",
    "INK",
    "MEMORIZING",
    "MUTED",
    "PAPER",
    "Drawing",
    "drawing_style",
    "heat_colour",
    "level_colour",
]

INK, MUTED, GRID, PAPER = "#010101", "#010102", "#010103", "#010104"
MEMORIZING, GENERALIZING = "#010105", "#010106"

_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    PAPER: "--paper",
    MEMORIZING: "--memorizing",
    GENERALIZING: "--generalizing",
}
_COLOUR = re.compile(r"#[0-9a-f]{6}\b")
_FAMILY = re.compile(r"font-family: [^;]*;\s*")
_LOWERED = re.compile(r"(?<![A-Za-z])(τ|E|N|c|n|p)_(mem|gen|TG|OG|T|O|S|G|c)(?![A-Za-z_])")
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")

_SETTINGS = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "axes.labelsize": 11,
    "axes.titlesize": 12,
    "xtick.labelsize": 10.5,
    "ytick.labelsize": 10.5,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.7,
    "lines.markersize": 4.2,
}


def level_colour(index: int) -> str:
    """Return the stand-in for the CSS variable ``--level-<index>``.

    >>> level_colour(3)
    '#020003'
    """
    return f"#02{index:04x}"


def heat_colour(index: int) -> str:
    """Return the stand-in for the CSS variable ``--heat-<index>``."""
    return f"#03{index:04x}"


@contextmanager
def drawing_style() -> Iterator[None]:
    """Draw with the page's settings, whatever the user's matplotlib is set to."""
    with warnings.catch_warnings(), style.context(["default", _SETTINGS]):
        # Labels may hold letters the measuring font lacks; the reader's browser has its own fonts.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


class Drawing:
    """One set of axes, its description in words, and the points that tell their values.

    Args:
        name: unique on the page; prefixes the identifiers inside the SVG.
        title: what is drawn, for those who cannot see it.
        description: how to read it, for those who cannot see it.
        size: width and height in points.
        margins: left, bottom, right and top, in points.
    """

    def __init__(
        self,
        name: str,
        *,
        title: str,
        description: str,
        size: tuple[float, float] = (460, 290),
        margins: tuple[float, float, float, float] = (58, 44, 62, 14),
    ) -> None:
        self.name, self.title, self.description = name, title, description
        self.size = size
        left, bottom, right, top = margins
        width, height = size
        # 72 dots an inch, the SVG writer's own, make display coordinates those of the SVG.
        self.figure = Figure(figsize=(width / 72, height / 72), dpi=72)
        self._canvas = FigureCanvasSVG(self.figure)
        box = (left / width, bottom / height)
        self.axes = self.figure.add_axes(
            (*box, (width - left - right) / width, (height - bottom - top) / height)
        )
        self._points: list[tuple[float, float, str]] = []

    def point(self, x: float, y: float, tip: str) -> None:
        """Let a point, in data coordinates, tell its value when pointed at or reached by key."""
        self._points.append((x, y, tip))

    def svg(self) -> Markup:
        """Return the drawing as an SVG element for an HTML page; the same bytes each time."""
        buffer = BytesIO()
        with style.context({"svg.hashsalt": self.name}):
            self._canvas.print_svg(buffer, metadata={"Date": None, "Creator": None})
        root = ElementTree.fromstring(buffer.getvalue())  # noqa: S314 (our own bytes)
        self._tidy(root)
        self._head(root)
        self._add_points(root)
        # ElementTree has escaped every text and attribute.
        return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704

    def _tidy(self, root: ElementTree.Element) -> None:
        """Drop what HTML does not need, and make identifiers unique on the page."""
        for parent in list(root.iter()):
            for child in list(parent):
                if child.tag.rpartition("}")[2] in {"metadata", "style"}:
                    parent.remove(child)
        markup = ElementTree.tostring(root, encoding="unicode")
        for element in list(root.iter()):
            element.tag = element.tag.rpartition("}")[2]
            if element.tag == "text":
                _lower(element)
            elif not (element.text or "").strip():
                element.text = None
            element.tail = None
            for key, value in list(element.attrib.items()):
                del element.attrib[key]
                bare = key.rpartition("}")[2]
                if bare == "id":
                    if f'"#{value}"' not in markup and f"url(#{value})" not in markup:
                        continue
                    value = f"{self.name}-{value}"
                elif bare in {"href", "clip-path"}:
                    value = value.replace("#", f"#{self.name}-")
                elif bare == "style":
                    # The page sets the family.
                    value = _COLOUR.sub(_variable, _FAMILY.sub("", value))
                elif value.startswith("rotate(-0 "):
                    continue
                elif bare in {"d", "x", "y", "transform", "points"}:
                    value = _LONG_NUMBER.sub(_rounded, value)
                element.set(bare, value)

    def _head(self, root: ElementTree.Element) -> None:
        """Say what the drawing is, and let the page set its size."""
        width, height = self.size
        title_id, text_id = f"{self.name}-title", f"{self.name}-text"
        root.attrib.clear()
        root.attrib |= {
            "viewBox": f"0 0 {width:g} {height:g}",
            "class": "drawing",
            "role": "group",
            "aria-labelledby": f"{title_id} {text_id}",
        }
        title = ElementTree.Element("title", {"id": title_id})
        title.text = clean(self.title)
        text = ElementTree.Element("desc", {"id": text_id})
        text.text = clean(self.description)
        root.insert(0, title)
        root.insert(1, text)

    def _add_points(self, root: ElementTree.Element) -> None:
        """Lay an unseen larger circle over each point; only the first is reached by Tab."""
        if not self._points:
            return
        layer = ElementTree.SubElement(root, "g", {"class": "points"})
        places = self.axes.transData.transform([(x, y) for x, y, _ in self._points])
        for index, ((x, y), (_, _, tip)) in enumerate(zip(places, self._points, strict=True)):
            attributes = {
                "cx": f"{x:.1f}",
                "cy": f"{self.size[1] - y:.1f}",
                "r": "7",
                "role": "img",
                "aria-label": clean(tip),
            }
            if index == 0:
                attributes["tabindex"] = "0"
            ElementTree.SubElement(layer, "circle", attributes)


def _lower(text: ElementTree.Element) -> None:
    """Write τ_mem, E_TG, N_O and their like with subscripts."""
    # Text, symbol, subscript, and again: whatever stands outside the pattern comes first.
    parts = _LOWERED.split(text.text or "")
    if len(parts) == 1:
        return
    text.text = parts[0] + parts[1]
    for index in range(2, len(parts), 3):
        lowered = ElementTree.SubElement(text, "tspan", {"dy": "0.28em", "font-size": "75%"})
        lowered.text = parts[index]
        rest = parts[index + 1] + (parts[index + 2] if index + 2 < len(parts) else "")
        if rest:
            raised = ElementTree.SubElement(text, "tspan", {"dy": "-0.21em"})
            raised.text = rest


def _variable(match: re.Match[str]) -> str:
    """Return the CSS variable that a stand-in colour means; other colours stay."""
    colour = match[0]
    if colour in _VARIABLES:
        return f"var({_VARIABLES[colour]})"
    for prefix, name in (("#02", "level"), ("#03", "heat")):
        if colour.startswith(prefix):
            return f"var(--{name}-{int(colour[3:], 16)})"
    return colour


def _rounded(match: re.Match[str]) -> str:
    return f"{float(match[0]):.2f}".rstrip("0").rstrip(".")
