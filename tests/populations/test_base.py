from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import ecotone.populations
from ecotone.core.errors import ConfigError, DataError
from ecotone.populations.base import FiniteData, Split


def ten(groups: list[str] | None = None) -> FiniteData:
    ids = [f"i{k}" for k in range(10)]
    return FiniteData(torch.arange(10.0)[:, None], ids, name="ten", groups=groups)


@pytest.mark.parametrize(
    ("training_ids", "holdout_ids", "told"),
    [
        (("a", "b"), ("b",), "'b' is in both"),
        (("a", "a"), ("b",), "training_ids name an item twice"),
        (("a",), ("b",), "2 training items but 1"),
        (("a", "b"), (), "1 holdout items but 0"),
    ],
)
def test_a_split_refuses_ids_that_do_not_fit(
    training_ids: tuple[str, ...], holdout_ids: tuple[str, ...], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        Split(torch.zeros(2, 1), torch.zeros(1, 1), training_ids, holdout_ids)


def test_all_of_the_data_can_be_used() -> None:
    split = ten().split(6, 4, seed=0)
    used = torch.cat([split.training, split.holdout]).flatten()
    assert used.sort().values.tolist() == list(range(10))
    assert ten().draw(10, seed=0).flatten().sort().values.tolist() == list(range(10))


def test_items_keep_their_ids() -> None:
    split = ten().split(5, 3, seed=2)
    assert [f"i{int(v)}" for v in split.training.flatten()] == list(split.training_ids)
    assert [f"i{int(v)}" for v in split.holdout.flatten()] == list(split.holdout_ids)


def test_drawing_more_than_there_is_names_both_numbers() -> None:
    with pytest.raises(ConfigError, match=r"cannot draw 11 .* the 10 in ten; set n to .* 10"):
        ten().draw(11, seed=0)


def test_n_larger_than_what_the_holdout_leaves() -> None:
    with pytest.raises(ConfigError, match=r"n = 7 is larger than the data: .*maximum n = 6\)"):
        ten().split(7, 4, seed=0)


@pytest.mark.parametrize(("holdout", "left"), [(9, 1), (10, 0), (99, 0)])
def test_a_holdout_that_leaves_no_training_data(holdout: int, left: int) -> None:
    with pytest.raises(ConfigError) as caught:
        ten().split(2, holdout, seed=0)
    assert f"a holdout of {holdout} leaves {left} of the 10" in str(caught.value)
    assert f"maximum n = {left}" in str(caught.value)
    assert "set holdout to 8 or less" in str(caught.value)
    assert "larger than the data" not in str(caught.value)
    assert ten().split(2, 8, seed=0).n == 2  # and what the hint says works


@settings(max_examples=40, deadline=None)
@given(
    labels=st.lists(st.integers(0, 6), min_size=6, max_size=40),
    holdout=st.integers(2, 12),
    seed=st.integers(0, 5),
)
def test_groups_stay_whole(labels: list[int], holdout: int, seed: int) -> None:
    groups = [f"patient {label}" for label in labels]
    ids = [f"{k}" for k in range(len(labels))]
    data = FiniteData(torch.arange(float(len(ids)))[:, None], ids, name="scans", groups=groups)
    group_of = dict(zip(ids, groups, strict=True))
    refused = ""
    try:
        data.split(2, holdout, seed)
    except ConfigError as error:
        refused = str(error)
    # The hint, where there is one, names a holdout that can be had.
    if "set holdout to" in refused:
        holdout = int(refused.split("set holdout to ")[1].split()[0])
    elif refused:
        assert "no holdout can be had with these groups" in refused
        return
    small = data.split(2, holdout, seed)
    with pytest.raises(ConfigError, match="never divided") as caught:
        data.split(10**6, holdout, seed)
    most = int(str(caught.value).split("set n to ")[1].split()[0])
    split = data.split(most, holdout, seed)
    assert len(split.holdout_ids) == holdout
    assert split.n == most
    assert split.holdout_ids == small.holdout_ids
    assert split.training_ids[:2] == small.training_ids
    of_training = {group_of[i] for i in split.training_ids}
    of_holdout = {group_of[i] for i in split.holdout_ids}
    assert not of_training & of_holdout
    # Nothing of a training group is left out at the largest n.
    assert most == sum(group in of_training for group in groups)


def test_one_group_cannot_be_split() -> None:
    with pytest.raises(ConfigError, match="no holdout can be had with these groups"):
        ten(groups=["same"] * 10).split(2, 2, seed=0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_what_is_not_finite_is_named(value: float) -> None:
    items = torch.zeros(5, 2, 3, dtype=torch.float64)
    items[3, 1, 2] = items[4, 0, 0] = value
    with pytest.raises(DataError, match=r"item 3 \(d\) holds (nan|inf) at index \(1, 2\)"):
        FiniteData(items, list("abcde"), name="bad")


def test_too_few_or_ill_named_items() -> None:
    with pytest.raises(DataError, match="4 items or more"):
        FiniteData(torch.zeros(3, 1), list("abc"), name="few")
    with pytest.raises(DataError, match="cannot be split"):
        FiniteData(torch.zeros(5, 0), list("abcde"), name="hollow")
    with pytest.raises(ValueError, match="same id"):
        FiniteData(torch.zeros(4, 1), list("abca"), name="twice")
    with pytest.raises(ValueError, match="one id"):
        FiniteData(torch.zeros(4, 1), list("abc"), name="short")


def test_the_fingerprint_counts_groups_and_not_ids() -> None:
    plain = ten()
    renamed = FiniteData(plain.items, [f"j{k}" for k in range(10)], name="ten")
    assert plain.fingerprint == renamed.fingerprint
    assert plain.fingerprint != ten(groups=list("aabbccddee")).fingerprint


def test_the_room_has_no_other_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'zebra'"):
        ecotone.populations.zebra  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]
