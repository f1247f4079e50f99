"""The page of a linear study in Chromium: quiet, offline, readable, light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browsing import CUT, OVERLAPS
from ecotone.report import build
from onset_folder import LinearRecipe, write_linear_study

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    recipe = LinearRecipe(dimensions=(16, 36, 64), extra={"model.sampler": ("euler", "heun")})
    return build(write_linear_study(tmp_path_factory.mktemp("onset"), recipe)).as_uri()


@pytest.fixture(scope="module", params=["light", "dark"])
def page(request: pytest.FixtureRequest, browser: Any, address: str) -> Iterator[Any]:
    """The page, wide; at the end, nothing may have been complained about or fetched."""
    trouble: list[str] = []
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, color_scheme=request.param
    )
    opened = context.new_page()
    opened.on("console", lambda message: trouble.append(f"console: {message.text}"))
    opened.on("pageerror", lambda error: trouble.append(f"error: {error}"))
    opened.on(
        "request",
        lambda asked: (
            asked.url.startswith(("file:", "data:")) or trouble.append(f"request: {asked.url}")
        ),
    )
    opened.goto(address)
    yield opened
    context.close()
    assert trouble == []


def test_labels_do_not_overlap_and_are_whole(page: Any) -> None:
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    assert page.evaluate(OVERLAPS) == []
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(CUT) == []


def test_points_tell_their_values(page: Any) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    tip = page.locator("#tip")
    aim = page.locator('.points circle[aria-label^="d = 36, n = 54: "]').first
    aim.scroll_into_view_if_needed()
    aim.hover(force=True)
    assert tip.is_visible()
    assert tip.inner_text().endswith("; 30 replicates")
    page.mouse.move(1, 1)
    assert tip.is_hidden()
    page.locator("svg.drawing .points circle").first.focus()
    first = tip.inner_text()
    page.keyboard.press("ArrowRight")
    assert tip.inner_text() != first


def test_a_screenshot_shows_something(page: Any, tmp_path: Path) -> None:
    import numpy as np
    from PIL import Image

    target = tmp_path / "report.png"
    page.screenshot(path=target, full_page=True)
    with Image.open(target) as picture:
        pixels = np.asarray(picture.convert("L")).astype(np.int16)
    paper = int(np.median(pixels))
    inked = np.abs(pixels - paper) > 50
    assert pixels.shape[0] > 3000
    assert inked.mean() > 0.02
    assert np.diff(np.flatnonzero(inked.any(axis=1))).max() < 300
