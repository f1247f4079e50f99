from __future__ import annotations

import torch

from ecotone.measures.subsets import shuffled


def test_the_order_depends_on_contents_and_seed_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(50, 2, 3, generator=generator)
    moved = images[torch.randperm(50, generator=generator)]
    assert torch.equal(images[shuffled(images, 1, "a")], moved[shuffled(moved, 1, "a")])
    assert sorted(shuffled(images, 1, "a").tolist()) == list(range(50))
    assert not torch.equal(shuffled(images, 1, "a"), shuffled(images, 2, "a"))
    assert not torch.equal(shuffled(images, 1, "a"), shuffled(images, 1, "b"))


def test_subsets_are_fair() -> None:
    images = torch.arange(40.0)[:, None]
    taken = torch.zeros(40)
    for seed in range(400):
        taken[shuffled(images, seed)[:10]] += 1
    # Binomial(400, 1/4): mean 100, standard deviation 8.7.
    assert taken.min() > 60
    assert taken.max() < 140


def test_uint8_images_are_shuffled_too() -> None:
    images = torch.arange(9, dtype=torch.uint8)[:, None]
    assert sorted(shuffled(images, 0).tolist()) == list(range(9))
