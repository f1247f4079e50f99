"""The page of a planted-copy benchmark in Chromium: quiet, offline, readable, light and dark."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from ecotone.report import build
from planted_folder import PlantedRecipe, write_planted_study

pytestmark = pytest.mark.browser

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
KINDS = ("exact", "jpeg", "noise", "tone", "shift", "crop", "flip", "blend", "noise sigma=0.3")
MIDDLES = {
    "gap_ratio": dict.fromkeys(KINDS, 0.02),
    "closest_record": {kind: 0.02 * 1.4**index for index, kind in enumerate(KINDS)},
    "membership": dict.fromkeys(KINDS),
}

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


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        reason = f"none of {', '.join(NAMES)} is on PATH"
        if os.environ.get("ECOTONE_REQUIRE_BROWSER") == "1":
            pytest.fail(f"{reason}, and ECOTONE_REQUIRE_BROWSER=1 requires one")
        pytest.skip(f"{reason}; set ECOTONE_REQUIRE_BROWSER=1 to fail instead")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield started
        started.close()


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
