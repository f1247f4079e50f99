import math

import pytest

from ecotone.theory.base import Law, root


def test_a_law_is_silent_outside_its_range_and_where_it_is_infinite():
    law = Law("m", "name", lambda n: math.inf if n == 3 else n, (2, 5), "source")
    assert [law.predict(n) for n in (1.9, 2, 3, 5, 5.1)] == [None, 2, None, 5, None]


def test_a_root_is_found_to_relative_precision():
    assert root(lambda x: x - 1e-12, 0, 1) == pytest.approx(1e-12, rel=1e-12)
    with pytest.raises(ValueError, match="sign"):
        root(lambda x: x + 1, 0, 1)
