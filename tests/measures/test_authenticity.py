from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import fisher_exact
from torch import Tensor

from ecotone.core.intervals import wilson
from ecotone.features.pixels import Pixels
from ecotone.measures import Evidence, neighbours
from ecotone.measures.authenticity import (
    authenticity,
    authenticity_p_value,
    authenticity_ratios,
)


def images(n: int, seed: int, d: int = 4) -> Tensor:
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


def distances(first: Tensor, second: Tensor) -> np.ndarray:
    return np.sqrt(((first.double()[:, None] - second.double()[None]).numpy() ** 2).sum(axis=2))


def direct(generated: Tensor, training: Tensor) -> np.ndarray:
    """Return the paper's two distances, one over the other, pair by pair."""
    among = distances(training, training)
    np.fill_diagonal(among, np.inf)
    to_training = distances(generated, training)
    nearest = to_training.argmin(axis=1)
    return to_training.min(axis=1) / among.min(axis=1)[nearest]


def test_it_is_the_definition_of_the_paper() -> None:
    # Few neighbours are near duplicates with so much room between them.
    training, generated, holdout = images(60, 1, 30), images(80, 0, 30), images(40, 2, 30)
    found = neighbours(generated=generated, training=training, holdout=holdout)
    assert len(found.clusters.unique()) == 60
    ratios = authenticity_ratios(found)
    assert ratios is not None
    assert ratios.holdout is not None
    assert ratios.generated.numpy() == pytest.approx(direct(generated, training))
    assert ratios.holdout.numpy() == pytest.approx(direct(holdout, training))
    read = authenticity(gather(generated, training, holdout))
    assert set(read) == {"authentic_share", "authentic_share_holdout"}
    count = int((direct(generated, training) > 1).sum())
    assert 0 < count < 80
    assert read["authentic_share"].value == count / 80
    assert (read["authentic_share"].low, read["authentic_share"].high) == wilson(count, 80)
    assert read["authentic_share_holdout"].value == (direct(holdout, training) > 1).mean()


@pytest.mark.parametrize("copies", [1, 2, 30])
def test_images_that_are_there_again_change_nothing(copies: int) -> None:
    training, generated, holdout = images(50, 1), images(40, 0), images(40, 2)
    generated[:5] = training[:5] + 1e-3
    more = torch.cat([training, training[:20].repeat(copies, 1)])
    once = authenticity_ratios(neighbours(generated=generated, training=training, holdout=holdout))
    again = authenticity_ratios(neighbours(generated=generated, training=more, holdout=holdout))
    assert once is not None
    assert again is not None
    assert again.generated.numpy() == pytest.approx(once.generated.numpy())
    # By the undistinct nearest they would be authentic.
    assert (again.generated[:5] < 0.05).all()


@pytest.mark.parametrize("crowd", [2, 12])
def test_near_duplicates_are_not_what_an_image_is_apart_from(crowd: int) -> None:
    training, holdout = images(50, 1), images(50, 2)
    near = training[:1] + 1e-5 * images(crowd, 3)
    generated = training[:1] + 1e-2
    crowded = torch.cat([training, near])
    found = neighbours(generated=generated, training=crowded, holdout=holdout)
    ratios = authenticity_ratios(found)
    assert ratios is not None
    kinds = found.clusters.numpy()
    among = distances(crowded, crowded)
    among[kinds[:, None] == kinds[None]] = np.inf
    index = int(found.generated.index)
    expected = float(found.generated.distance) / among[index].min()
    assert float(ratios.generated) == pytest.approx(expected)
    assert expected < 0.1


def test_of_equally_near_images_the_order_does_not_matter() -> None:
    training = torch.tensor([[0.0, 0.0], [2.0, 0.0], [2.0, 1.0], [0.0, 9.0]])
    generated = torch.tensor([[1.0, 0.0]])
    values = []
    for order in ([0, 1, 2, 3], [1, 0, 2, 3], [3, 2, 1, 0]):
        ratios = authenticity_ratios(neighbours(generated=generated, training=training[order]))
        assert ratios is not None
        values.append(float(ratios.generated))
    # Of the two nearest, (0, 0) is 2 from its own nearest, (2, 0) only 1.
    assert values == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("copies", [0, 10, 40])
def test_the_p_value_is_fishers(copies: int) -> None:
    training, generated, holdout = images(60, 1, 8), images(50, 0, 8), images(45, 2, 8)
    generated[:copies] = training[:copies]
    found = neighbours(generated=generated, training=training, holdout=holdout)
    ratios = authenticity_ratios(found)
    assert ratios is not None
    assert ratios.holdout is not None
    close, floor = int((ratios.generated <= 1).sum()), int((ratios.holdout <= 1).sum())
    table = [[close, 50 - close], [floor, 45 - floor]]
    assert authenticity_p_value(found) == pytest.approx(fisher_exact(table, "greater")[1])
    read = authenticity(gather(generated, training, holdout))
    assert read["authentic_share"].how["p_value"] == authenticity_p_value(found)


def test_copies_are_not_authentic() -> None:
    training, holdout = images(60, 1), images(60, 2)
    read = authenticity(gather(training, training, holdout))
    assert read["authentic_share"].value == 0
    p_value = read["authentic_share"].how["p_value"]
    assert isinstance(p_value, float)
    assert p_value < 1e-6
    assert read["authentic_share_holdout"].value > 0.3


def test_honest_images_are_as_authentic_as_the_holdout() -> None:
    small = 0
    for seed in range(100):
        generated, training, holdout = (images(40, 3 * seed + i) for i in range(3))
        p = authenticity_p_value(
            neighbours(generated=generated, training=training, holdout=holdout)
        )
        assert p is not None
        small += p <= 0.1
    # At most 0.1 of them, four standard errors above.
    assert small <= 10 + 4 * 3


def test_what_cannot_be_had_is_left_out() -> None:
    alone = gather(images(3, 0), images(1, 1), images(3, 2))
    assert authenticity(alone) == {}
    assert authenticity_p_value(alone.neighbours) is None
    same = gather(images(3, 0), torch.zeros(7, 4), images(3, 2))
    assert authenticity(same) == {}
    without = gather(images(3, 0), images(9, 1), None)
    read = authenticity(without)
    assert set(read) == {"authentic_share"}
    assert "p_value" not in read["authentic_share"].how
    assert authenticity_p_value(without.neighbours) is None
