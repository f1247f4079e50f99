from __future__ import annotations

import numpy as np
import pytest
import torch

from ecotone.core import DataError, Reading
from ecotone.core.intervals import wilson
from ecotone.measures.closeness import closer_to_training_share


def sets(n: int, m: int, seed: int = 0, samples: int = 100) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(n + m + samples, 4, generator=generator)
    return dict(
        zip(("training", "holdout", "generated"), images.split([n, m, samples]), strict=True)
    )


def share_of(images: dict[str, torch.Tensor], seed: int = 0) -> Reading:
    return closer_to_training_share(
        generated=images["generated"],
        training=images["training"],
        holdout=images["holdout"],
        seed=seed,
    )


def test_at_equal_sizes_it_is_the_share_of_nearer_distances() -> None:
    images = sets(50, 50)
    share = share_of(images)
    near = [
        (images["generated"].double()[:, None] - images[name].double()).norm(dim=-1).amin(dim=1)
        for name in ("training", "holdout")
    ]
    assert share.value == (near[0] < near[1]).double().mean()
    assert share.how["subsets"] == 1


@pytest.mark.parametrize(("n", "m"), [(40, 40), (400, 30), (30, 400)])
def test_an_honest_generator_scores_one_half_at_any_sizes(n: int, m: int) -> None:
    # Repeated, so that the intervals are seen to cover what they should.
    shares = [share_of(sets(n, m, seed), seed=seed) for seed in range(40)]
    values = np.array([share.value for share in shares])
    assert abs(values.mean() - 0.5) < 4 * values.std() / np.sqrt(len(values))
    covered = np.mean([share.low <= 0.5 <= share.high for share in shares])  # type: ignore[operator]
    assert covered >= 0.85


def test_the_interval_knows_of_the_chance_in_the_sets() -> None:
    images = sets(30, 30, samples=4000)
    share = share_of(images)
    assert share.low is not None
    assert share.high is not None
    # The images alone would give ±0.016.
    assert share.high - share.low > 0.06


def test_copies_score_one_and_ties_one_half() -> None:
    images = sets(40, 40)
    copied = {**images, "generated": images["training"]}
    share = share_of(copied)
    assert share.value == 1.0
    # Copies are nearer whatever the holdout: only which images were drawn is left to chance.
    assert share.low == pytest.approx(wilson(len(copied["generated"]), len(copied["generated"]))[0])
    tied = {**images, "holdout": images["training"]}
    assert share_of(tied).value == 0.5


def test_one_image_each_is_enough_and_none_is_not() -> None:
    images = sets(1, 1, samples=1)
    assert share_of(images).value in {0.0, 0.5, 1.0}
    with pytest.raises(DataError, match="0 training"):
        share_of({**images, "training": torch.zeros(0, 4)})
