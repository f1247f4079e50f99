"""Templates, styles and scripts put together into one page that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from ecotone.report.text import clean

__all__ = ["about_study", "assets", "render"]

_SATURATING = re.compile(r"1/τ_(?:mem|gen) = α \+ β/n")
_POWER = re.compile(r"\b(n|d|k)\^(−?[\d.]+|γ)")
_RAISED = re.compile(r"\^\(([−\w/]+)\)")
_LOWERED = re.compile(r"(?<![A-Za-z])(τ|E|N|c|n|p)_(mem|gen|TG|OG|T|O|S|G|c)(?![A-Za-z_])")


def render(template: str, facts: Mapping[str, Any]) -> str:
    """Return a page from one of the package's templates; everything but markup is escaped."""
    return _environment().get_template(template).render(facts)


def assets(colours: str, *more: str) -> dict[str, Any]:
    """Return the style, the script and the hash by which the page allows the script.

    Args:
        colours: rules that set the colours of levels and shades.
        more: names of further style sheets among the templates.
    """
    script = _asset("hover.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return {
        "script": Markup(script),  # noqa: S704 (our own file)
        "script_hash": digest,
        "style": Markup("".join(map(_asset, ("style.css", *more))) + colours),  # noqa: S704
    }


def about_study(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``study.json`` says of a study's making, ready for the page."""
    return {
        "name": clean(about.get("name") or "study"),
        "description": clean(about.get("description") or ""),
        "versions": _facts(about.get("versions")),
        "machine": _facts(about.get("machine")),
        "seeds": ", ".join(clean(seed) for seed in about.get("seeds") or ()),
        "design": yaml.safe_dump(
            about.get("design") or {},
            sort_keys=False,
            allow_unicode=True,
            default_flow_style=None,
        ),
    }


def _facts(record: object) -> list[tuple[str, str]]:
    """Return a record of versions or of the machine as rows."""
    if not isinstance(record, dict):
        return []
    return [(clean(name), clean(value)) for name, value in record.items()]


def _asset(name: str) -> str:
    return (files("ecotone.report") / "templates" / name).read_text(encoding="utf-8")


def _powers(text: str) -> Markup:
    """Return a sentence with exponents and subscripts raised and lowered."""
    said = str(escape(text)).replace(" %", "\N{NO-BREAK SPACE}%")
    said = _POWER.sub(r"<i>\1</i><sup>\2</sup>", said)
    said = _RAISED.sub(r"<sup>\1</sup>", said)
    said = _SATURATING.sub(r"<span class='formula'>\g<0></span>", said)
    # What was escaped stays so; only our own symbols are marked up.
    return Markup(_LOWERED.sub(r"<i>\1</i><sub>\2</sub>", said))  # noqa: S704


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("ecotone.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["powers"] = _powers
    return environment
