from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import matplotlib as mpl
import pytest
from markupsafe import Markup

from ecotone.report.axes import end_labels, spread, value_axis
from ecotone.report.lines import Line, Point, levels
from ecotone.report.svg import INK, Drawing, drawing_style


def draw(name: str = "one", *, tip: str = "a point", text: str = "label") -> Markup:
    with drawing_style():
        drawing = Drawing(name, title="Title & <more>", description="What it shows")
        drawing.axes.set(xlim=(0, 10), ylim=(0, 10))
        drawing.axes.plot([1, 9], [1, 9], color=INK)
        drawing.axes.set_xlabel(text)
        drawing.point(2.0, 5.0, tip)
        return drawing.svg()


def test_the_same_drawing_has_the_same_bytes() -> None:
    assert draw() == draw()


def test_a_users_settings_do_not_change_a_drawing() -> None:
    plain = draw()
    with mpl.rc_context({"font.size": 31, "lines.linewidth": 9, "svg.fonttype": "path"}):
        assert draw() == plain


def test_names_keep_identifiers_apart() -> None:
    first, second = (set(re.findall(r'id="([^"]+)"', draw(name))) for name in ("one", "two"))
    assert first
    assert not first & second
    for svg, known in ((draw("one"), first), (draw("two"), second)):
        used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
        assert used <= known


def test_colours_come_from_the_page() -> None:
    svg = draw()
    assert "var(--ink)" in svg
    assert not re.findall(r"#0[1-3]\w{4}\b", svg)


def test_text_stays_text_and_is_escaped() -> None:
    hostile = '<script>alert("1")</script> $x^2$ & more'
    root = ElementTree.fromstring(draw(tip=hostile, text=hostile))
    assert hostile in [element.text for element in root.iter("text")]
    assert [element.get("aria-label") for element in root.iter("circle")] == [hostile]
    assert root.find("title") is not None
    assert not list(root.iter("script"))


def test_points_lie_where_the_data_are() -> None:
    with drawing_style():
        drawing = Drawing("at", title="", description="", size=(200, 100), margins=(20, 10, 30, 5))
        drawing.axes.set(xlim=(0, 10), ylim=(0, 10))
        drawing.point(0.0, 0.0, "corner")
        drawing.point(10.0, 10.0, "opposite")
        circles = list(ElementTree.fromstring(drawing.svg()).iter("circle"))
    places = [(float(c.attrib["cx"]), float(c.attrib["cy"])) for c in circles]
    assert places == [(20.0, 90.0), (170.0, 5.0)]


def test_only_the_first_point_is_a_stop_for_the_tab_key() -> None:
    with drawing_style():
        drawing = Drawing("tab", title="", description="")
        for index in range(3):
            drawing.point(index / 3, 0.5, str(index))
        circles = list(ElementTree.fromstring(drawing.svg()).iter("circle"))
    assert [circle.get("tabindex") for circle in circles] == ["0", None, None]


def test_letters_that_the_measuring_font_lacks_are_no_warning() -> None:
    assert "数字" in draw(text="数字")


@pytest.mark.parametrize("wanted", [[0.5] * 5, [0.0, 0.02, 0.98, 1.0], [0.1, 0.9], [1.0, 0.0, 0.5]])
def test_labels_are_moved_apart_within_the_axes(wanted: list[float]) -> None:
    heights = sorted(spread(wanted, 0.1))
    assert all(b - a > 0.1 - 1e-9 for a, b in pairwise(heights))
    assert heights[0] >= -1e-9
    assert heights[-1] <= 1 + 1e-9


def test_labels_that_do_not_touch_stay_where_they_are() -> None:
    assert spread([0.9, 0.1, 0.5], 0.1) == pytest.approx([0.9, 0.1, 0.5])


@pytest.mark.parametrize(
    ("values", "scale"),
    [([1.0, 900.0], "log"), ([1.0, 2.0], "linear"), ([-0.001, 0.002, 0.003, 0.5], "symlog")],
)
def test_the_scale_fits_the_values(values: list[float], scale: str) -> None:
    with drawing_style():
        axes = Drawing("s", title="", description="").axes
        value_axis(axes, values)
    assert axes.get_yscale() == scale
    low, high = axes.get_ylim()
    assert low <= min(values) < max(values) <= high


def test_of_many_lines_some_are_named_and_none_overlap() -> None:
    with drawing_style():
        drawing = Drawing("many", title="", description="")
        drawing.axes.set(xlim=(0, 1), ylim=(0, 1))
        lines = [
            Line(level, (Point(1.0, 0.5, None, None, 10, 1),), ())
            for level in levels("n", range(2, 42))
        ]
        end_labels(drawing.axes, lines)
        heights = sorted(text.get_position()[1] for text in drawing.axes.texts)
    assert 2 <= len(heights) <= 14
    assert min(b - a for a, b in pairwise(heights)) > 0.03
