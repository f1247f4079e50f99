"""The page in Chromium: quiet, offline, readable by pointer and by key, light, dark and printed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from browsing import OVERLAPS

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(report: Path) -> str:
    return report.as_uri()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a page; at the end, nothing may have been complained about or fetched."""
    opened: list[Any] = []
    trouble: list[str] = []

    def open_one(address: str, **settings: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **settings})
        opened.append(context)
        page = context.new_page()
        page.on("console", lambda message: trouble.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
        page.on(
            "request",
            lambda request: (
                request.url.startswith(("file:", "data:"))
                or trouble.append(f"request: {request.url}")
            ),
        )
        page.goto(address)
        return page

    yield open_one
    for context in opened:
        context.close()
    assert trouble == []


def point(page: Any, name: str) -> Any:
    """Return the first point of a drawing that is told as given."""
    return page.locator(f'.points circle[aria-label*="{name}"]').first


def test_pointing_at_a_point_tells_its_value(open_page: Callable, address: str) -> None:
    page = open_page(address)
    tip = page.locator("#tip")
    assert tip.is_hidden()
    aim = point(page, "n = 16: τ_mem")
    aim.scroll_into_view_if_needed()
    aim.hover(force=True)
    assert tip.is_visible()
    assert tip.inner_text().startswith("n = 16: τ_mem = ")
    assert tip.inner_text().endswith(" steps")
    beside = tip.bounding_box()
    assert beside["x"] >= 0
    assert beside["x"] + beside["width"] <= 1280
    page.mouse.move(1, 1)
    assert tip.is_hidden()


def test_keys_walk_along_the_points(open_page: Callable, address: str) -> None:
    page = open_page(address)
    tip = page.locator("#tip")
    first = page.locator("#curves svg.drawing").first.locator(".points circle").first
    first.focus()
    told = tip.inner_text()
    assert told.startswith("n = 16, training steps 1: ")
    page.keyboard.press("ArrowRight")
    assert tip.inner_text().startswith("n = 16, training steps 2: ")
    page.keyboard.press("ArrowLeft")
    assert tip.inner_text() == told
    page.keyboard.press("Escape")
    assert tip.is_hidden()


def test_every_point_can_be_reached_by_the_pointer(open_page: Callable, address: str) -> None:
    page = open_page(address)
    drawing = page.locator("svg.drawing").nth(1)
    drawing.scroll_into_view_if_needed()
    # What lies topmost at a point's centre must be a point: else nothing would be told there.
    unreached = drawing.evaluate(
        """svg => [...svg.querySelectorAll(".points circle")].filter(circle => {
            const box = circle.getBoundingClientRect();
            const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
            if (y < 0 || y > innerHeight) return false;
            return !document.elementFromPoint(x, y)?.matches(".points circle");
        }).length"""
    )
    assert unreached == 0


def colour(page: Any, selector: str, name: str) -> str:
    return page.locator(selector).first.evaluate(
        "(element, name) => getComputedStyle(element)[name]", name
    )


def test_a_dark_page_is_dark_with_its_drawings(open_page: Callable, address: str) -> None:
    light, dark = (open_page(address, color_scheme=scheme) for scheme in ("light", "dark"))
    assert colour(light, "body", "backgroundColor") == "rgb(255, 255, 255)"
    assert colour(dark, "body", "backgroundColor") == "rgb(20, 23, 27)"
    label = "svg.drawing text"
    assert colour(light, label, "fill") == colour(light, "body", "color")
    assert colour(dark, label, "fill") == colour(dark, "body", "color")
    assert colour(light, label, "fill") != colour(dark, label, "fill")


def test_print_is_light_and_whole(open_page: Callable, address: str) -> None:
    page = open_page(address, color_scheme="dark")
    page.emulate_media(media="print")
    assert colour(page, "body", "backgroundColor") == "rgb(255, 255, 255)"
    folded = page.locator("details:not([open])").count()
    assert folded > 3
    assert page.pdf(format="A4")[:5] == b"%PDF-"
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("details:not([open])").count() == folded


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_never_scrolls_sideways(open_page: Callable, address: str, width: int) -> None:
    page = open_page(address, viewport={"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    cut = page.evaluate(
        """() => [...document.querySelectorAll("svg.drawing text")].filter(text => {
            const box = text.getBoundingClientRect();
            return box.width > 0 && (box.left < 0 || box.right > innerWidth);
        }).map(text => text.textContent)"""
    )
    assert cut == []


@pytest.mark.parametrize("which", ["report", "batch_report"])
def test_labels_do_not_overlap(
    open_page: Callable, which: str, request: pytest.FixtureRequest
) -> None:
    page = open_page(request.getfixturevalue(which).as_uri())
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    assert page.evaluate(OVERLAPS) == []


def test_a_screenshot_shows_something(open_page: Callable, address: str, tmp_path: Path) -> None:
    import numpy as np
    from PIL import Image

    page = open_page(address)
    target = tmp_path / "report.png"
    page.screenshot(path=target, full_page=True)
    with Image.open(target) as picture:
        pixels = np.asarray(picture.convert("L"))
    assert pixels.shape[0] > 3000
    assert (pixels < 200).mean() > 0.02
    # No band of a third of a screen's height is blank.
    inked = np.flatnonzero((pixels < 200).any(axis=1))
    assert np.diff(inked).max() < 300
