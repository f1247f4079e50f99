from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecotone.report.text import clean, interval, number, percent, shortened


@given(st.floats(-1e300, 1e300, allow_subnormal=False))
@settings(max_examples=60, deadline=None)
def test_a_number_reads_back_as_itself_to_three_digits(value: float) -> None:
    text = number(value).replace(",", "").replace("−", "-")
    mantissa, _, power = text.partition("·10")
    exponent = power.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")) or "0"
    assert float(f"{mantissa}e{exponent}") == pytest.approx(value, rel=5.1e-3)


@given(st.integers(0, 1000), st.integers(1, 1000))
@settings(max_examples=30, deadline=None)
def test_only_a_share_of_zero_reads_as_zero(copies: int, more: int) -> None:
    share = copies / (copies + more)
    assert (percent(share) == "0 %") == (copies == 0)


def test_an_interval_is_told_only_where_it_is_known() -> None:
    assert interval(2.0, 1.0, 4.0) == "2 (1 to 4)"
    assert interval(2.0, None, 4.0) == "2"


@given(st.text())
@settings(max_examples=60, deadline=None)
def test_cleaned_text_can_stand_in_xml(text: str) -> None:
    from xml.etree import ElementTree

    element = ElementTree.Element("p")
    element.text = clean(text)
    read = ElementTree.fromstring(ElementTree.tostring(element))
    assert (read.text or "") == clean(text)


def test_a_long_name_is_cut_and_says_so() -> None:
    assert shortened("x" * 40) == "x" * 21 + "…"
