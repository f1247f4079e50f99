"""The page of an audit in Chromium: quiet, offline, light and dark, and it runs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from audit_folder import AuditRecipe, write_audit_folder
from browsing import CUT, OVERLAPS
from ecotone.auditing.record import ConfounderRecord
from ecotone.report import build

pytestmark = pytest.mark.browser

HOSTILE = "<script>document.title='taken';alert(1)</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Addresses of pages of audits that ended in every way."""
    root = tmp_path_factory.mktemp("audits")
    recipes = {
        "copies": AuditRecipe(),
        "none": AuditRecipe(outcome="none", copies=0, generated=60),
        "overfits": AuditRecipe(outcome="overfits", copies=0, images=False),
        "too_few": AuditRecipe(outcome="too_few", copies=2, generated=9, holdout=False),
        "long": AuditRecipe(
            outcome="overfits",
            generated=3,
            copies=0,
            names=(f"/data/{80 * 'samples'}/", f"train{60 * '-of-a-set'}.parquet#image"),
            id=f"{40 * 'part/'}{120 * 'x'}-{{:03d}}.png",
            confounders=tuple(
                ConfounderRecord(
                    kind=f"kind {index}",
                    serious=index % 2 == 0,
                    sentence=f"{index:,} of 300 training images differ. " * 3,
                    count=5 + index,
                    examples=[f"{40 * 'part/'}{index}-{k}.png" for k in range(5)],
                )
                for index in range(40)
            ),
            groups=True,
        ),
        "hostile": AuditRecipe(
            names=(HOSTILE, HOSTILE),
            id=HOSTILE.replace("{", "") + "{:03d}",
            caveats=(HOSTILE,),
            confounders=(
                ConfounderRecord(
                    kind=HOSTILE, serious=True, sentence=HOSTILE, count=1, examples=[HOSTILE]
                ),
            ),
        ),
    }
    return {
        name: build(write_audit_folder(root / name, recipe)).as_uri()
        for name, recipe in recipes.items()
    }


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a page; at the end, nothing may have been complained about, fetched or said."""
    opened: list[Any] = []
    trouble: list[str] = []

    def note(text: str) -> None:
        trouble.append(text)

    def open_one(address: str, **settings: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **settings})
        opened.append(context)
        page = context.new_page()
        page.on("console", lambda message: note(f"console: {message.text}"))
        page.on("pageerror", lambda error: note(f"error: {error}"))
        page.on("dialog", lambda dialog: (note(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on(
            "request",
            lambda asked: asked.url.startswith(("file:", "data:")) or note(f"request: {asked.url}"),
        )
        page.goto(address)
        return page

    yield open_one
    for context in opened:
        context.close()
    assert trouble == []


@pytest.mark.parametrize("name", ["copies", "none", "overfits", "too_few", "long", "hostile"])
def test_it_fits_and_labels_are_whole(
    open_page: Callable[..., Any], pages: dict[str, str], name: str
) -> None:
    page = open_page(pages[name])
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    assert page.evaluate(OVERLAPS) == []
    for width in (1280, 800, 390):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(CUT) == []


def test_names_that_are_programs_run_nothing(
    open_page: Callable[..., Any], pages: dict[str, str]
) -> None:
    page = open_page(pages["hostile"])
    assert page.title().startswith("Audit of ")
    assert page.title() != "taken"
    assert page.locator("img:not([src^='data:'])").count() == 0
    assert HOSTILE in page.locator(".given").inner_text()
    assert HOSTILE in page.locator("#leaks tbody th").nth(1).inner_text()


def test_points_tell_their_values(open_page: Callable[..., Any], pages: dict[str, str]) -> None:
    page = open_page(pages["copies"])
    tip = page.locator("#tip")
    aim = page.locator('.points circle[aria-label*=" of 150 generated images up to "]').first
    aim.scroll_into_view_if_needed()
    aim.hover(force=True)
    assert tip.is_visible()
    assert tip.inner_text().endswith(" %")
    page.mouse.move(1, 1)
    assert tip.is_hidden()
    page.locator("#leaks .points circle").first.focus()
    first = tip.inner_text()
    page.keyboard.press("ArrowRight")
    assert "training images" in tip.inner_text()
    assert tip.inner_text() != first


def colour(page: Any, selector: str, name: str) -> str:
    return page.locator(selector).first.evaluate(
        "(element, name) => getComputedStyle(element)[name]", name
    )


def test_outcomes_have_colours_that_differ(
    open_page: Callable[..., Any], pages: dict[str, str]
) -> None:
    seen: dict[str, set[str]] = {"light": set(), "dark": set()}
    page = open_page(pages["copies"])
    for name in ("copies", "none", "overfits", "too_few"):
        page.goto(pages[name])
        for scheme, colours in seen.items():
            page.emulate_media(color_scheme=scheme)
            colours.add(colour(page, ".verdict", "borderLeftColor"))
    assert {scheme: len(colours) for scheme, colours in seen.items()} == {"light": 4, "dark": 4}


def test_dark_is_dark_and_print_is_light(
    open_page: Callable[..., Any], pages: dict[str, str]
) -> None:
    page = open_page(pages["copies"], color_scheme="dark")
    assert colour(page, "body", "backgroundColor") == "rgb(20, 23, 27)"
    assert colour(page, "svg.drawing text", "fill") == colour(page, "body", "color")
    page.emulate_media(media="print")
    assert colour(page, "body", "backgroundColor") == "rgb(255, 255, 255)"
    assert page.pdf(format="A4")[:5] == b"%PDF-"


def test_a_screenshot_shows_something(
    open_page: Callable[..., Any], pages: dict[str, str], tmp_path: Path
) -> None:
    target = tmp_path / "report.png"
    open_page(pages["copies"]).screenshot(path=target, full_page=True)
    with Image.open(target) as picture:
        pixels = np.asarray(picture.convert("L"))
    inked = pixels < 200
    assert pixels.shape[0] > 3000
    assert inked.mean() > 0.02
    assert np.diff(np.flatnonzero(inked.any(axis=1))).max() < 300
