"""docs/architecture.md tells of the files that exist, and no others."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "ecotone"


# What cannot say in a docstring what it is.
OTHERS = {
    "report/templates/audit.css": "What the page of an audit adds to the look of all.",
    "report/templates/audit.html.j2": "The page of an audit.",
    "report/templates/base.html.j2": "What every page has: head, style, script, versions.",
    "report/templates/hover.js": "Tooltips, by mouse and by keyboard.",
    "report/templates/onset.html.j2": "The page of a linear study.",
    "report/templates/parts.html.j2": "Figures and tables as every page shows them.",
    "report/templates/planted.html.j2": "The page of a planted-copy benchmark.",
    "report/templates/report.html.j2": "The page of a study that trains.",
    "report/templates/style.css": "Their look on light and dark screens and on paper.",
}


def described(path: Path) -> str:
    """Return the first line of a module's docstring, or a ready-made study's title."""
    name = path.relative_to(SOURCE).as_posix()
    if path.suffix == ".yaml":
        return yaml.safe_load(path.read_text())["title"]
    if path.suffix != ".py":
        return OTHERS[name]
    told = ast.get_docstring(ast.parse(path.read_text()))
    assert told, f"{name} does not say what it is"
    return told.splitlines()[0]


def test_the_file_list_is_that_of_the_files() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    listing = text.partition("## Files")[2].partition("\n## ")[0].strip("\n").splitlines()
    files = sorted(
        path
        for path in SOURCE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name != "py.typed"
    )
    right = [
        f"    {path.relative_to(SOURCE).as_posix():<32} {described(path)}".rstrip()
        for path in files
    ]
    assert listing == right, "give docs/architecture.md this list:\n" + "\n".join(right)


def test_the_layers_told_are_the_layers_held() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    drawn = text.partition("An import may only point down:")[2].partition("\n- ")[0]
    told = [re.split(r" {4,}", line.strip())[0] for line in drawn.strip().splitlines()]
    held = re.search(r"^layers = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.M | re.S)
    assert held is not None
    assert told == re.findall(r'"(.*)"', held[1])
