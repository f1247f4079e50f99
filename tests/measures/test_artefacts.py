from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.stats import kstest
from torch import Tensor

from ecotone.core.errors import DataError
from ecotone.measures.artefacts import blockiness, compare, constant, high_frequency_share


def photos(count: int, side: int = 32, *, seed: int) -> np.ndarray:
    """Return (count, side, side, 3) bytes: large shapes, small ones, and some grain."""
    rng = np.random.default_rng(seed)
    layers = 128.0
    for width, contrast in ((side / 10, 45), (1.2, 12), (0.0, 3)):
        noise = rng.normal(size=(count, side, side, 3))
        shapes = gaussian_filter(noise, (0, width, width, 0)) if width else noise
        layers = layers + contrast * shapes / shapes.std(axis=(1, 2, 3), keepdims=True)
    return np.clip(layers, 0, 255).astype(np.uint8)


def tensor(images: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def as_jpeg(images: np.ndarray, quality: int) -> np.ndarray:
    decoded = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality)
        decoded.append(np.asarray(Image.open(file)))
    return np.stack(decoded)


def halved_and_doubled(images: np.ndarray) -> np.ndarray:
    side, lanczos = images.shape[1], Image.Resampling.LANCZOS
    return np.stack(
        [
            np.asarray(
                Image.fromarray(image)
                .resize((side // 2, side // 2), lanczos)
                .resize((side, side), lanczos)
            )
            for image in images
        ]
    )


def test_jpeg_is_told_from_png_and_resampling_is_not_taken_for_it() -> None:
    png, others = photos(100, seed=1), photos(100, seed=2)
    stored = blockiness(tensor(png))
    told = compare(blockiness(tensor(as_jpeg(others, 50))), stored)
    assert told.p_value < 1e-10
    assert told.auc.value > 0.85
    assert told.auc.low is not None
    assert told.auc.low > 0.8
    for same in (others, halved_and_doubled(others)):
        assert compare(blockiness(tensor(same)), stored).p_value > 0.01


def test_blockiness_falls_with_the_quality_of_a_jpeg_and_with_its_grid_moved() -> None:
    images = photos(40, 48, seed=3)
    strength = [blockiness(tensor(as_jpeg(images, q))).mean() for q in (20, 50, 80, 100)]
    assert strength == sorted(strength, reverse=True)
    moved = as_jpeg(images, 20)[:, 4:44, 4:44]
    assert blockiness(tensor(moved)).mean() < 0.3 * strength[0]


@pytest.mark.parametrize("way", ["halved", "blurred"])
def test_lost_detail_is_told(way: str) -> None:
    kept, others = photos(100, seed=4), photos(100, seed=5)
    lost = (
        halved_and_doubled(others) if way == "halved" else gaussian_filter(others, (0, 0.7, 0.7, 0))
    )
    told = compare(high_frequency_share(tensor(lost)), high_frequency_share(tensor(kept)))
    assert told.p_value < 1e-10
    assert told.auc.value < 0.05
    same = compare(high_frequency_share(tensor(others)), high_frequency_share(tensor(kept)))
    assert same.p_value > 0.01


@pytest.mark.parametrize("measure", [blockiness, high_frequency_share])
def test_halves_of_one_set_are_not_told_apart(measure) -> None:
    p_values = []
    for seed in range(60):
        numbers = measure(tensor(photos(40, 16, seed=100 + seed)))
        p_values.append(compare(numbers[:20], numbers[20:]).p_value)
    assert kstest(p_values, "uniform").pvalue > 1e-3
    assert sum(p < 0.05 for p in p_values) <= 9  # Binomial(60, 0.05) exceeds it once in 1,000


@pytest.mark.parametrize("measure", [blockiness, high_frequency_share])
def test_scale_type_and_order_do_not_matter(measure) -> None:
    images = tensor(photos(30, seed=6))
    numbers = measure(images)
    assert torch.allclose(measure(images.double() / 127.5 - 1), numbers, rtol=1e-3, atol=1e-5)
    assert torch.equal(measure(images.flip(0)), numbers.flip(0))
    assert torch.allclose(measure(images.transpose(2, 3)), numbers, rtol=1e-4, atol=1e-6)
    grey = images[:, :1].expand(-1, 3, -1, -1)
    assert torch.allclose(measure(grey), measure(images[:, :1]), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("measure", [blockiness, high_frequency_share])
def test_flat_images_are_left_out(measure) -> None:
    images = tensor(photos(5, seed=7))
    flat = torch.full((2, 3, 32, 32), 77, dtype=torch.uint8)
    assert torch.equal(measure(torch.cat([flat, images, flat])), measure(images))
    assert len(measure(flat)) == 0
    assert len(measure(images[:0])) == 0
    assert len(measure(torch.rand(1, 1, 32, 32).expand(4, 3, -1, -1) * 0 + 0.1)) == 0


@pytest.mark.parametrize("measure", [blockiness, high_frequency_share])
def test_what_is_no_image_is_refused(measure) -> None:
    for shape in ((3, 40), (3, 4, 32, 32), (3, 32, 32)):
        with pytest.raises(DataError, match="are no images"):
            measure(torch.zeros(shape))


def test_blockiness_is_the_log_of_two_means() -> None:
    luma = torch.randn(1, 1, 24, 40, generator=torch.Generator().manual_seed(0)).double()
    at_edges, inside, all_of_them = [], [], []
    for row in range(24):
        for column in range(40):
            for other, place in (((row - 1, column), row), ((row, column - 1), column)):
                if place == 0:
                    continue
                step = abs(luma[0, 0, row, column] - luma[0, 0, other[0], other[1]])
                all_of_them.append(step)
                if place % 8 == 0:
                    at_edges.append(step)
                elif place % 2 == 0:
                    inside.append(step)
    floor = 1e-3 * np.mean(all_of_them)
    expected = np.log((np.mean(at_edges) + floor) / (np.mean(inside) + floor))
    assert float(blockiness(luma)) == pytest.approx(expected, abs=1e-6)


def test_small_images_have_no_blocks() -> None:
    assert len(blockiness(torch.rand(4, 1, 15, 40))) == 0
    assert len(blockiness(torch.rand(4, 1, 16, 16))) == 4


@given(st.integers(0, 15), st.integers(0, 11))
def test_a_single_frequency_is_low_below_half_of_nyquist_and_high_from_there(
    down: int, along: int
) -> None:
    if down == along == 0:
        return
    rows, columns = (np.arange(16) + 0.5) / 16, (np.arange(12) + 0.5) / 12
    wave = np.cos(np.pi * down * rows)[:, None] * np.cos(np.pi * along * columns)
    share = float(high_frequency_share(torch.from_numpy(5 + wave)[None, None]))
    assert share == pytest.approx(float(down >= 8 or along >= 6), abs=1e-5)


def test_white_noise_has_three_quarters_of_its_energy_there() -> None:
    noise = torch.randn(200, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    assert float(high_frequency_share(noise).mean()) == pytest.approx(0.75, abs=0.01)


def test_constant_images_are_those_of_one_value_a_channel() -> None:
    images = torch.zeros(4, 3, 2, 2)
    images[1, 2, 1, 1] = 1e-7
    images[2] = torch.arange(3.0)[:, None, None]
    images[3, 0] = 1.0
    assert constant(images).tolist() == [True, False, True, True]
    assert constant(torch.tensor([[1.0, 1.0], [1.0, 2.0]])).tolist() == [True, False]
    assert constant(torch.zeros(3, 2, 2, 2, 2, dtype=torch.uint8)).all()


def test_an_auc_is_the_share_of_pairs() -> None:
    rng = np.random.default_rng(0)
    first, second = (torch.from_numpy(rng.integers(0, 6, n).astype(float)) for n in (23, 31))
    pairs = first[:, None], second[None]
    expected = (pairs[0] > pairs[1]).double() + 0.5 * (pairs[0] == pairs[1]).double()
    told, turned = compare(first, second), compare(second, first)
    assert told.auc.value == pytest.approx(float(expected.mean()))
    assert turned.auc.value == pytest.approx(1 - told.auc.value)
    assert turned.p_value == pytest.approx(told.p_value)
    assert (told.auc.n, told.auc.how["other"], told.auc.higher_is) == (23, 31, "neither")


def test_the_interval_covers_the_truth() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        auc = compare(*(torch.from_numpy(rng.normal(shift, 1, 40)) for shift in (1.0, 0.0))).auc
        assert auc.low is not None
        assert auc.high is not None
        covered += auc.low <= 0.7602 <= auc.high  # Φ(1/√2)
    assert covered >= 180


def test_equal_numbers_are_not_told_apart_and_none_are_refused() -> None:
    told = compare(torch.ones(9).double(), torch.ones(7).double())
    assert (told.auc.value, told.p_value) == (0.5, 1.0)
    assert compare(torch.ones(1).double(), torch.zeros(1).double()).auc.value == 1.0
    with pytest.raises(DataError, match="3 numbers cannot be compared with 0"):
        compare(torch.ones(3).double(), torch.ones(0).double())
