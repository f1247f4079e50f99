"""Colours as CSS variables, for light pages, dark pages and print."""

from __future__ import annotations

import matplotlib
from matplotlib.colors import to_hex

__all__ = ["colour_rules"]

# Okabe & Ito (2008), without black: told apart with every common colour vision.
DISTINCT = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d00")


def colour_rules(levels: int, heats: int, *, ordered: bool) -> str:
    """Return rules that set ``--level-<i>`` and ``--heat-<i>``.

    Ordered levels run along viridis, whose lightness is ordered too, without the end that would
    fade into the page: the dark end on dark pages, the light one on light pages.

    Args:
        levels: how many levels lines stand for.
        heats: how many shades maps have.
        ordered: whether the levels are numbers; names get distinct colours instead.
    """
    light = _sampled("viridis", levels, 0.0, 0.83) if ordered else _cycled(levels)
    dark = _sampled("viridis", levels, 0.36, 1.0) if ordered else _cycled(levels)
    if not ordered:
        dark = [{"#0072b2": "#3d9fd8"}.get(colour, colour) for colour in dark]
    light_heat = _sampled("BuPu", heats, 0.02, 1.0)
    dark_heat = _sampled("magma", heats, 0.1, 0.97)
    return (
        f":root {{ {_variables('level', light)} {_variables('heat', light_heat)} }}\n"
        "@media screen and (prefers-color-scheme: dark) {\n"
        f"  :root {{ {_variables('level', dark)} {_variables('heat', dark_heat)} }}\n}}\n"
    )


def _sampled(name: str, count: int, first: float, last: float) -> list[str]:
    scale = matplotlib.colormaps[name]
    steps = max(count - 1, 1)
    return [to_hex(scale(first + (last - first) * index / steps)) for index in range(count)]


def _cycled(count: int) -> list[str]:
    return [DISTINCT[index % len(DISTINCT)] for index in range(count)]


def _variables(name: str, colours: list[str]) -> str:
    return " ".join(f"--{name}-{index}: {colour};" for index, colour in enumerate(colours))
