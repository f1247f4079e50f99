"""Numbers and names as a reader of the page sees them."""

from __future__ import annotations

import math
import unicodedata

from ecotone.core.wording import percent

__all__ = ["capital", "clean", "interval", "listed", "number", "percent", "plain", "shortened"]

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, digits: int = 3) -> str:
    """Return a number to so many significant digits, with thousands set apart.

    >>> number(1994.7), number(0.04567), number(-3.0), number(0.0000123)
    ('1,990', '0.0457', '−3', '1.23·10⁻⁵')
    """
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if -4 <= exponent < 7:
        decimals = digits - 1 - exponent
        text = f"{round(value, decimals):,.{max(0, decimals)}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    else:
        mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
        text = f"{mantissa}·10{str(int(power)).translate(_SUPERSCRIPTS)}"
    return text.replace("-", "−")


def interval(value: float, low: float | None, high: float | None, *, digits: int = 3) -> str:
    """Return a value with its interval, where it has one.

    >>> interval(0.25, 0.19, 0.31), interval(4.0, None, None)
    ('0.25 (0.19 to 0.31)', '4')
    """
    if low is None or high is None:
        return number(value, digits)
    return f"{number(value, digits)} ({number(low, digits)} to {number(high, digits)})"


def listed(parts: list[str]) -> str:
    """Join parts as in a sentence.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def clean(value: object) -> str:
    r"""Return a value read from a file as text that any page or drawing can hold.

    Control characters, which XML forbids, become spaces; nothing else is changed: escaping is the
    template's and the SVG writer's work.

    >>> clean("a\x00b"), clean(None)
    ('a b', '–')
    """
    if value is None:
        return "–"
    if isinstance(value, float):
        return number(value, 6)
    return "".join(
        " " if unicodedata.category(sign) in {"Cc", "Cs", "Cn", "Co"} else sign
        for sign in str(value)
    )


def shortened(value: object, width: int = 22) -> str:
    """Return a value as text of at most so many characters, for labels in drawings.

    >>> shortened("a long name of a thing", 8)
    'a long …'
    """
    text = clean(value)
    return text if len(text) <= width else f"{text[: width - 1]}…"


def plain(factor: str) -> str:
    """Return a factor's name as a sentence says it.

    >>> plain("training.batch_size"), plain("model.width"), plain("n")
    ('batch size', 'model width', 'n')
    """
    return clean(factor).removeprefix("training.").replace(".", " ").replace("_", " ")


def capital(sentence: str) -> str:
    """Return a sentence with its first letter raised, and the others as they are.

    >>> capital("with n = 16 it did")
    'With n = 16 it did'
    """
    return sentence[:1].upper() + sentence[1:]
