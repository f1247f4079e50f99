from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ecotone.features.pixels import Pixels
from ecotone.measures import Evidence, neighbours
from ecotone.measures.fidelity import fidelity, frechet_reading
from ecotone.measures.frechet import frechet_distance


def evidence(n: int, m: int, samples: int, seed: int = 0) -> Evidence:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(n + m + samples, 5, generator=generator)
    training, holdout, generated = images.split([n, m, samples])
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


@pytest.mark.parametrize(("n", "m"), [(60, 20), (20, 60), (30, 30)])
def test_matched_readings_take_as_many_images_of_each(n: int, m: int) -> None:
    given = evidence(n, m, 40)
    found = fidelity(given)
    for name, reading in found.items():
        expected = m if name == "frechet_holdout" else min(n, m)
        assert reading.how["reference_images"] == expected
        assert reading.how["features"] == "pixels"
    assert given.holdout is not None
    whole = frechet_distance(generated=given.generated, reference=given.holdout)
    assert found["frechet_holdout"].value == pytest.approx(whole, rel=1e-10)
    if m <= n:
        assert found["frechet_holdout_matched"].value == pytest.approx(whole, rel=1e-10)


def test_copies_are_nearer_to_the_training_set() -> None:
    given = evidence(80, 80, 10)
    copied = fidelity(
        Evidence(**{**vars(given), "generated": given.training}),
    )
    assert copied["frechet_training_matched"].value < 1e-8
    assert copied["frechet_holdout_matched"].value > 0.1
    assert copied["kid_training_matched"].value < copied["kid_holdout_matched"].value


def test_the_interval_is_as_wide_as_repetition_says() -> None:
    holdout = torch.randn(300, 4, generator=torch.Generator().manual_seed(0))
    values, widths = [], []
    for seed in range(40):
        generator = torch.Generator().manual_seed(seed + 1)
        generated = torch.randn(150, 4, generator=generator) * 1.5 + 0.5
        reading = frechet_reading(generated=generated, reference=holdout)
        assert reading is not None
        assert reading.high is not None
        values.append(reading.value)
        widths.append(reading.high - reading.value)
    # Student's quantile of 19 degrees of freedom.
    assert np.mean(widths) / 2.093 == pytest.approx(np.std(values), rel=0.4)


def test_two_images_have_a_distance_but_no_interval_and_one_has_neither() -> None:
    images = evidence(20, 20, 2)
    found = fidelity(images)
    assert all(reading.low is None for reading in found.values())
    assert fidelity(evidence(20, 20, 1)) == {}


@pytest.mark.parametrize("case", ["copies", "apart", "constant", "few"])
def test_extremes_are_right_in_every_reading(case: str) -> None:
    given = evidence(40, 40, 40)
    assert given.holdout is not None
    sets = {
        "copies": given.training,
        "apart": given.generated + 1e3,
        "constant": torch.zeros_like(given.generated),
        "few": given.generated[:3],
    }
    found = fidelity(replace(given, generated=sets[case]))
    assert len(found) == 5
    frechet = {name: reading for name, reading in found.items() if name.startswith("frechet")}
    for name, reading in found.items():
        assert reading.low is not None
        assert reading.high is not None
        assert np.isfinite([reading.low, reading.value, reading.high]).all()
        if case == "apart":
            assert reading.low > 1e5, name
    if case == "copies":
        assert found["frechet_training_matched"].value < 1e-8
        assert found["kid_training_matched"].value < found["kid_holdout_matched"].value
        # Pairs of an image and its copy count in one of the three means alone.
        assert found["kid_training_matched"].value < 0
    if case == "constant":
        rows = {"holdout": given.holdout, "training": given.training}
        for name, reading in frechet.items():
            real = rows[name.split("_")[1]]
            expected = real.mean(dim=0).square().sum() + real.var(dim=0).sum()
            assert reading.value == pytest.approx(float(expected), rel=1e-5)
            # All generated images being equal, leaving out some changes nothing.
            assert reading.high == pytest.approx(reading.value)
