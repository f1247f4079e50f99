from __future__ import annotations

import torch

from ecotone.measures import Reference, nearest
from ecotone.measures.approximate_search import ApproximateSearch


def cloud(n: int, seed: int) -> torch.Tensor:
    return torch.randn(n, 8, generator=torch.Generator().manual_seed(seed))


def test_it_stands_where_an_exact_search_does() -> None:
    training, holdout, generated = cloud(3000, 0), cloud(400, 1), cloud(500, 2)
    generated[:50] = training[:50]
    search = ApproximateSearch(0)
    ours = Reference(training=training, holdout=holdout, search=search).neighbours(generated)
    exact = Reference(training=training, holdout=holdout).neighbours(generated)
    same = ours.generated.distance == exact.generated.distance
    assert same.double().mean() > 0.95
    assert ours.generated.distance[:50].tolist() == [0.0] * 50
    assert search.recall is not None
    assert search.recall.value > 0.95
    assert search.recall.value == min(reading.value for reading in search.recalls)
    # Training set among itself, holdout and generated to it, generated to holdout.
    assert len(search.recalls) >= 4


def test_what_is_passed_over_is_not_found() -> None:
    points = cloud(2500, 3)
    own = torch.arange(2500)
    found = ApproximateSearch(0)(points, points, 3, passing_over=(own, own))
    assert not (found.indices == own[:, None]).any()
    exact = nearest(points, points, 3, passing_over=(own, own))
    assert (found.distances[:, 0] == exact.distances[:, 0]).double().mean() > 0.95
