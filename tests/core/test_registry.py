from __future__ import annotations

import pytest

from ecotone.core import ConfigError
from ecotone.core.registry import Registry


class Thing:
    def __init__(self, width: int, *, rate: float = 0.5, shape: tuple[int, ...] = (1,)) -> None:
        self.width, self.rate, self.shape = width, rate, shape


THINGS = Registry[Thing]("thing", {"thing": f"{__name__}:Thing"})


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(THINGS, "find", lambda name: Thing)


def test_options_are_converted_and_completed() -> None:
    assert THINGS.check("thing", {"width": "3", "rate": "1e-3"}, given=("shape",)) == {
        "width": 3,
        "rate": 1e-3,
    }
    assert THINGS.create("thing", {"width": 3}, shape=(2, 2)).shape == (2, 2)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"widht": 3}, "did you mean 'width'"),
        ({}, "'width' is missing"),
        ({"width": "wide"}, "'width' = 'wide'"),
    ],
)
def test_wrong_options_are_named(options: dict, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        THINGS.check("thing", options)


def test_unknown_tenants_are_named() -> None:
    from ecotone.populations import POPULATIONS

    with pytest.raises(ConfigError, match="did you mean 'digits'"):
        POPULATIONS.find("digit")
