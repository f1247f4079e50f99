from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage

from ecotone.measures.duplicates import exact_duplicates, near_duplicates
from ecotone.measures.search import nearest


def clusters(images: torch.Tensor, threshold: float, listed: int = 2) -> torch.Tensor:
    exact = exact_duplicates(images)
    others = nearest(images, images, min(listed, len(images)), passing_over=(exact, exact))
    return near_duplicates(images, exact=exact, others=others, threshold=threshold)


@given(st.integers(2, 40), st.integers(0, 2**20))
@settings(max_examples=25, deadline=None)
def test_clusters_are_those_of_single_linkage(n: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 12, (n, 2), generator=generator).float()
    expected = fcluster(linkage(images.double().numpy(), "single"), 1.5, "distance")
    found = clusters(images, 1.5).numpy()
    same = expected[:, None] == expected
    assert (same == (found[:, None] == found)).all()


def test_many_near_duplicates_of_one_image_are_one_cluster() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(60, 16, generator=generator)
    copies = images[7] + 1e-3 * torch.randn(20, 16, generator=generator)
    found = clusters(torch.cat([images, copies, images[7:8].repeat(9, 1)]), 0.05)
    assert (found[60:] == found[7]).all()
    assert len(found.unique()) == 60


def test_two_groups_of_near_duplicates_stay_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    # In each group the two that are listed hide the rest, which only a range search finds.
    line = torch.arange(30.0)[:, None] * 0.01
    images = torch.cat([line, line + 5.0])[torch.randperm(60, generator=generator)]
    assert len(clusters(images, 0.012).unique()) == 2


def test_equal_images_are_clustered_at_threshold_zero() -> None:
    images = torch.tensor([[1.0], [2.0], [1.0], [1.0], [1.0], [1.0]])
    assert clusters(images, 0.0).tolist() == [0, 1, 0, 0, 0, 0]
