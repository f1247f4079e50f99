from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ecotone.core import ConfigError, DataError
from ecotone.features.cache import Cached
from ecotone.features.user_encoder import UserEncoder, user_encoder
from features.tiny_encoders import pictures

IMAGES = pictures(7, side=6)


def means(images: Tensor) -> Tensor:
    return images.mean((2, 3))


class Scaled:
    def __call__(self, images: Tensor, scale: float = 1.0) -> np.ndarray:
        return scale * images.mean((2, 3)).numpy()


def network(seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(108, 4), nn.BatchNorm1d(4), nn.Dropout(0.1))


@pytest.mark.parametrize(
    "function",
    [
        means,
        Scaled(),
        functools.partial(Scaled(), scale=1.0),
        lambda images: images.mean((2, 3), keepdim=True),
        lambda images: means(images).tolist(),
        lambda images: means(images).requires_grad_(),
    ],
)
def test_whatever_gives_a_row_an_image_will_do(function: Any) -> None:
    found = UserEncoder(function, batch_size=3).fit(IMAGES)(IMAGES)
    torch.testing.assert_close(found, IMAGES.double().mean((2, 3)), rtol=1e-5, atol=1e-6)
    assert not found.requires_grad


def test_images_come_in_the_units_of_the_data_and_of_any_shape() -> None:
    seen: list[Tensor] = []

    def keep(images: Tensor) -> Tensor:
        seen.append(images)
        return images.flatten(1)

    vectors = 100 * torch.randn(5, 9, dtype=torch.float64)
    assert torch.equal(UserEncoder(keep, batch_size=2)(vectors), vectors)
    assert [len(images) for images in seen] == [2, 2, 1]
    assert torch.equal(torch.cat(seen), vectors)


def test_a_function_may_change_what_it_is_given() -> None:
    images = IMAGES.clone()
    UserEncoder(lambda given: means(given.zero_())).fit(images)
    assert torch.equal(images, IMAGES)


@pytest.mark.parametrize("mode", ["training", "evaluation"])
def test_a_network_in_training_mode_is_refused(mode: str) -> None:
    space = UserEncoder(network(0).train(mode == "training"))
    if mode == "evaluation":
        assert space.fit(IMAGES)(IMAGES).shape == (7, 4)
    else:
        with pytest.raises((ConfigError, ValueError)):  # BatchNorm itself refuses a single image
            space.fit(IMAGES)


@pytest.mark.parametrize(
    "function",
    [
        lambda images: torch.rand(len(images), 3),
        lambda images: means(images) - means(images).mean(0),
        nn.Sequential(nn.Flatten(), nn.Dropout(0.1)),
    ],
)
def test_features_that_depend_on_chance_or_company_are_refused(function: Any) -> None:
    with pytest.raises(ConfigError, match=r"when asked again, or beside.*model.eval\(\)"):
        UserEncoder(function).fit(IMAGES)


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda images: images.mean(), r"shape \(\) for 3 images; .*\(3, dimension\)"),
        (lambda images: means(images)[:-1], r"shape \(2, 3\) for 3 images"),
        (lambda images: images, r"shape \(3, 3, 6, 6\)"),
        (lambda images: images.flatten(1)[:, :0], r"shape \(3, 0\)"),
        (lambda images: means(images).log(), "the features of image [0-9] hold NaN"),
        (lambda images: means(images).to(torch.complex64), "complex"),
        (lambda images: "text", "returns a str"),
        (lambda images: None, "returns a NoneType"),
    ],
)
def test_what_is_no_features_is_refused(function: Any, told: str) -> None:
    with pytest.raises(DataError, match=told):
        UserEncoder(function, batch_size=3)(IMAGES)


def test_a_bad_row_is_named_among_all_images() -> None:
    images = IMAGES.clone()
    images[5] = 0
    with pytest.raises(DataError, match="the features of image 5 hold NaN or an infinity"):
        UserEncoder(lambda given: 1 / means(given.abs()), batch_size=2)(images)


def test_other_numbers_of_features_in_other_batches_are_refused() -> None:
    with pytest.raises(DataError, match="gives 108 features of some images and 3 of others"):
        UserEncoder(lambda i: i.flatten(1) if len(i) == 3 else means(i), batch_size=3)(IMAGES)


# --- functions by name ---


def test_a_target_is_a_file_or_a_module(tmp_path: Path) -> None:
    file = tmp_path / "my encoder.py"
    file.write_text(
        "from dataclasses import dataclass\n"
        "@dataclass\nclass Encoder:\n    axis: 'int'\n"
        "    def __call__(self, images): return images.mean((self.axis, 3))\n"
        "encode = Encoder(2)\n"
    )
    space = user_encoder(f"{file}:encode", batch_size=2)
    assert torch.equal(space(IMAGES), UserEncoder(means)(IMAGES))
    told = space.describe()
    assert told["target"] == "my encoder.py:encode"
    assert told["source"] == hashlib.sha256(file.read_bytes()).hexdigest()
    flat = user_encoder("torch:flatten")
    assert flat.describe()["target"] == "torch:flatten"
    assert "source" not in flat.describe()  # it is not written in Python


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("encoder", "write package.module:function"),
        ("encoder.py", "write package.module:function"),
        ("a.py:not a name", "write package.module:function"),
        ("absent.py:encode", "there is no file absent.py"),
        ("absent_module:encode", "ModuleNotFoundError.*or name its file"),
        ("math:nothing", "math has no function 'nothing'"),
        ("math:pi", "math has no function 'pi'"),
    ],
)
def test_a_wrong_target_is_named(target: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        user_encoder(target)


def test_a_file_that_fails_is_named(tmp_path: Path) -> None:
    file = tmp_path / "encoder.py"
    file.write_text("1 / 0")
    with pytest.raises(ConfigError, match="ZeroDivisionError: division by zero; mend it"):
        user_encoder(f"{file}:encode")


def test_the_record_tells_networks_apart(tmp_path: Path) -> None:
    models = [network(seed).eval() for seed in (0, 1)]
    spaces = [UserEncoder(model, name="net") for model in models]
    told = [space.describe()["weights"] for space in spaces]
    assert told[0] != told[1]
    assert UserEncoder(network(0).eval(), name="net").describe()["weights"] == told[0]
    assert UserEncoder(models[0].forward).describe()["weights"] == told[0]
    assert UserEncoder(functools.partial(models[1])).describe()["weights"] == told[1]
    kept = [Cached(space, tmp_path) for space in spaces]
    rows = [space(IMAGES) for space in kept]
    assert [space.computed for space in kept] == [7, 7]
    assert not torch.allclose(rows[0], rows[1])


def test_the_record_tells_source_files_apart(tmp_path: Path) -> None:
    told = []
    for text in ("def encode(i): return i", "def encode(i): return 2 * i"):
        (tmp_path / "encoder.py").write_text(text)
        told.append(user_encoder(f"{tmp_path}/encoder.py:encode").describe()["source"])
    assert told[0] != told[1]
    assert UserEncoder(means).describe()["target"].endswith("test_user_encoder:means")
