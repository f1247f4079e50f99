"""The page of a planted-copy benchmark in Chromium: quiet, offline, readable, light and dark."""

from __future__ import annotations

from typing import Any

import pytest

from browsing import CUT, OVERLAPS
from ecotone.report import build
from planted_folder import PlantedRecipe, write_planted_study

pytestmark = pytest.mark.browser

KINDS = ("exact", "jpeg", "noise", "tone", "shift", "crop", "flip", "blend", "noise sigma=0.3")
MIDDLES = {
    "gap_ratio": dict.fromkeys(KINDS, 0.02),
    "closest_record": {kind: 0.02 * 1.4**index for index, kind in enumerate(KINDS)},
    "membership": dict.fromkeys(KINDS),
}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    recipe = PlantedRecipe(middles=MIDDLES, untested=("membership",))
    return build(write_planted_study(tmp_path_factory.mktemp("planted"), recipe)).as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_quiet_and_readable(browser: Any, address: str, scheme: str) -> None:
    trouble: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.on("console", lambda message: trouble.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
    page.on(
        "request",
        lambda asked: (
            asked.url.startswith(("file:", "data:")) or trouble.append(f"request: {asked.url}")
        ),
    )
    page.goto(address)
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    assert page.evaluate(OVERLAPS) == []
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(CUT) == []
    page.set_viewport_size({"width": 1280, "height": 900})
    aim = page.locator('.points circle[aria-label^="transform = jpeg, share = 0.05: "]').first
    aim.scroll_into_view_if_needed()
    aim.hover(force=True)
    assert page.locator("#tip").inner_text().endswith("; 100 replicates")
    context.close()
    assert trouble == []
