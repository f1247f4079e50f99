from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ecotone.core.errors import DataError
from ecotone.core.intervals import wilson
from ecotone.features.pixels import Pixels
from ecotone.measures import Evidence, neighbours
from ecotone.measures.copying import copied_share_gap_ratio
from ecotone.measures.kinds import KINDS, generated_kinds, kinds, nearest_others


def images(n: int, seed: int, d: int = 16) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def gather(generated: Tensor, training: Tensor, holdout: Tensor | None) -> Evidence:
    return Evidence(
        generated=generated,
        training=training,
        holdout=holdout,
        neighbours=neighbours(generated=generated, training=training, holdout=holdout),
        features=Pixels(),
        denoiser=None,
        sigma_data=1.0,
        seed=0,
    )


def shares(generated: Tensor, training: Tensor, holdout: Tensor | None) -> tuple[float, ...]:
    read = kinds(gather(generated, training, holdout))
    assert set(read) == {f"{name}_share" for name in KINDS}
    return tuple(read[f"{name}_share"].value for name in KINDS)


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_the_nearest_others_are_those_of_all_pairs(dtype: torch.dtype) -> None:
    several = (40 * images(50, 0) + 128).clamp(0, 255).to(dtype)
    several[7] = several[9]
    pairs = several.double()[:, None] - several.double()[None]
    distances = pairs.pow(2).sum(dim=2).sqrt().fill_diagonal_(torch.inf)
    found = nearest_others(several)
    assert torch.allclose(found, distances.amin(dim=1), rtol=1e-12)
    assert found[7] == found[9] == 0
    assert nearest_others(several[:1]).tolist() == [torch.inf]
    with pytest.raises(DataError, match="generated images are empty"):
        nearest_others(several[:0])


def test_the_kinds_are_what_made_the_images() -> None:
    training, holdout = images(80, 1), images(80, 2)
    # Ten copies, five images made four times each, and ten new ones.
    again = images(5, 3).repeat(4, 1) + 1e-3 * images(20, 4)
    generated = torch.cat([training[:10] + 1e-3, again, images(10, 5)])
    evidence = gather(generated, training, holdout)
    threshold = evidence.neighbours.how["near_duplicate_threshold"]
    assert isinstance(threshold, float)
    labels = generated_kinds(
        evidence.neighbours, others=nearest_others(generated), threshold=threshold
    )
    assert labels is not None
    assert [KINDS[label] for label in labels] == (
        ["memorized"] * 10 + ["spurious"] * 20 + ["generalized"] * 10
    )
    read = kinds(evidence)
    share = read["spurious_share"]
    assert share.value == 0.5
    assert (share.low, share.high) == wilson(20, 40)
    assert share.how["same_image_within"] == threshold
    assert "40" in str(share.how["depends_on"])
    copied = copied_share_gap_ratio(evidence.neighbours)
    assert copied is not None
    assert read["memorized_share"].value == copied.value


def test_extremes() -> None:
    training, holdout = images(80, 1), images(80, 2)
    assert shares(training, training, holdout) == (1, 0, 0)
    assert shares(training[:1].repeat(9, 1), training, None) == (1, 0, 0)
    assert shares(images(1, 3).repeat(9, 1), training, holdout) == (0, 1, 0)
    assert shares(images(30, 4), training, holdout) == (0, 0, 1)
    assert shares(images(1, 4), training, None) == (0, 0, 1)


@given(st.integers(0, 99), st.integers(1, 39))
@settings(max_examples=20, deadline=None)
def test_more_images_make_none_less_spurious(seed: int, few: int) -> None:
    generated, training = images(40, seed, 2), images(30, seed + 100, 2)
    labels = []
    for some in (generated[:few], generated):
        found = neighbours(generated=some, training=training)
        label = generated_kinds(found, others=nearest_others(some), threshold=0.2)
        assert label is not None
        labels.append(label[:few])
    fewer, more = labels
    assert torch.equal(fewer == 0, more == 0)
    assert not ((fewer == 1) & (more == 2)).any()


def test_what_cannot_be_had_is_left_out() -> None:
    assert kinds(gather(images(3, 0), torch.zeros(5, 16), None)) == {}
