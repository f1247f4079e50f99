from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ecotone.core.errors import ConfigError, DataError
from ecotone.populations import plant_copies
from ecotone.populations.digits import Digits
from ecotone.populations.planted import TRANSFORMS

RANGE = (-1.0, 1.0)


def sets() -> tuple[torch.Tensor, torch.Tensor]:
    images = Digits().draw(120, seed=0)
    return images[:60], images[60:]


@settings(max_examples=25, deadline=None)
@given(share=st.floats(0, 1), n=st.integers(1, 40), seed=st.integers(0, 99))
def test_the_share_of_copies_is_exact(share: float, n: int, seed: int) -> None:
    training, fresh = torch.arange(1.0, 6.0)[:, None], -torch.arange(1.0, n + 1)[:, None]
    planted = plant_copies(generated=fresh, training=training, share=share, seed=seed)
    copied = (planted.images > 0).flatten()
    assert int(copied.sum()) == round(share * n)
    assert copied.nonzero().flatten().tolist() == sorted(planted.rows.tolist())
    assert torch.equal(planted.images[planted.rows], training[planted.sources])
    assert torch.equal(planted.images[~copied], fresh[~copied])
    assert (fresh < 0).all()  # what came in is untouched


@pytest.mark.parametrize("name", list(TRANSFORMS))
def test_copies_of_a_smaller_share_are_among_those_of_a_larger(name: str) -> None:
    training, fresh = sets()
    small, large = (
        plant_copies(
            generated=fresh,
            training=training,
            share=share,
            seed=3,
            transform=name,
            value_range=RANGE,
        )
        for share in (0.1, 0.5)
    )
    k = len(small.rows)
    assert k == 6
    assert torch.equal(large.rows[:k], small.rows)
    assert torch.equal(large.sources[:k], small.sources)
    assert torch.equal(large.images[small.rows], small.images[small.rows])


@pytest.mark.parametrize("name", list(TRANSFORMS))
def test_copies_keep_type_and_range(name: str) -> None:
    training, fresh = sets()
    options = {"sigma": 0.5} if name == "noise" else {}

    def planted(training: torch.Tensor, fresh: torch.Tensor) -> torch.Tensor:
        return plant_copies(
            generated=fresh,
            training=training,
            share=0.5,
            seed=1,
            transform=name,
            options=options,
            value_range=None if fresh.dtype == torch.uint8 else RANGE,
        ).images

    single = planted(training, fresh)
    assert single.dtype == torch.float32
    assert single.abs().max() <= 1
    double = planted(training.double(), fresh.double())
    assert double.dtype == torch.float64
    # Noise is drawn and filters are applied at the data's own precision or better.
    assert (double - single).abs().max() < 1e-5
    half = planted(training.half(), fresh.half())
    assert half.dtype == torch.float16
    levels = planted(((training + 1) * 127.5).round().byte(), ((fresh + 1) * 127.5).round().byte())
    assert levels.dtype == torch.uint8
    error = (levels.double() / 127.5 - 1 - single).abs()
    # JPEG may round a coefficient the other way where levels were rounded differently.
    assert error.max() <= (0.2 if name == "jpeg" else 1.51 / 127.5)


def test_a_blend_takes_the_place_of_what_it_is_blended_with() -> None:
    training, fresh = sets()
    planted = plant_copies(
        generated=fresh,
        training=training,
        share=0.2,
        seed=0,
        transform="blend",
        options={"weight": 0.25},
    )
    expected = 0.25 * training[planted.sources] + 0.75 * fresh[planted.rows]
    torch.testing.assert_close(planted.images[planted.rows], expected)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"share": 1.5}, "1.5 is not a share"),
        ({"share": -0.1}, "is not a share"),
        ({"share": float("nan")}, "is not a share"),
        ({"transform": "jpg"}, r"unknown transform 'jpg'.*did you mean 'jpeg'"),
        ({"transform": "jpeg", "options": {"quality": 0}}, "quality = 0"),
        ({"transform": "jpeg", "options": {"qualty": 50}}, "unknown option 'qualty'.*quality"),
        ({"transform": "noise", "options": {"sigma": 0}}, "sigma = 0"),
        ({"transform": "shift", "options": {"pixels": 0}}, "pixels = 0"),
        ({"transform": "crop", "options": {"share": 1.0}}, "share = 1.0"),
        ({"transform": "blend", "options": {"weight": 1.0}}, "weight = 1.0"),
        ({"transform": "tone", "options": {"contrast": 0.0}}, "contrast = 0.0"),
    ],
)
def test_what_cannot_be_planted_is_refused(changes: dict, told: str) -> None:
    training, fresh = sets()
    given = {"share": 0.5, "value_range": RANGE, **changes}
    with pytest.raises(ConfigError, match=f"(?s){told}"):
        plant_copies(generated=fresh, training=training, seed=0, **given)


@pytest.mark.parametrize("name", ["jpeg", "shift", "crop", "flip"])
def test_only_images_are_transformed_as_images(name: str) -> None:
    vectors = torch.zeros(4, 6)
    with pytest.raises(DataError, match=f"no images to {name}.*exact, blend, noise and tone"):
        plant_copies(
            generated=vectors,
            training=vectors,
            share=0.5,
            seed=0,
            transform=name,
            value_range=RANGE,
        )


@pytest.mark.parametrize("name", ["exact", "blend", "noise", "tone"])
@pytest.mark.parametrize("shape", [(6,), (2, 5), (1, 3, 4, 5)])
def test_other_shapes_are_copied_too(name: str, shape: tuple[int, ...]) -> None:
    random = torch.Generator().manual_seed(0)
    generated, training = (torch.randn(8, *shape, generator=random) for _ in range(2))
    planted = plant_copies(
        generated=generated, training=training, share=0.5, seed=0, transform=name
    )
    assert planted.images.shape == (8, *shape)
    changed = (planted.images != generated).flatten(1).any(dim=1)
    assert changed.nonzero().flatten().tolist() == sorted(planted.rows.tolist())


def test_sets_of_different_kinds_are_refused() -> None:
    training, fresh = sets()
    for other in (fresh.double(), fresh[..., :-1]):
        with pytest.raises(DataError, match="bring both sets to one shape and type"):
            plant_copies(generated=other, training=training, share=0.5, seed=0)
