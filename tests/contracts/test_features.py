"""What every feature space must keep, whoever registers it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from ecotone.core import DataError
from ecotone.features import FEATURES, FeatureSpace
from ecotone.features.cache import Cached, cached
from features.tiny_encoders import (
    needs,
    pictures,
    save_onnx,
    save_pooling,
    save_vit,
    stand_in_for_timm,
)

Options = dict[str, Any]

SCRIPT = """
import torch

def edges(images):
    return torch.cat([images.diff(dim=2).abs().mean((2, 3)), images.mean((2, 3))], dim=1)
"""


def onnx_options(folder: Path) -> Options:
    needs("onnxruntime")
    path = save_onnx(folder / "encoder.onnx")
    return {"path": str(path), "mean": [0.5] * 3, "std": [0.5] * 3, "output": "features"}


def callable_options(folder: Path) -> Options:
    (folder / "encoder.py").write_text(SCRIPT)
    return {"target": f"{folder}/encoder.py:edges"}


@dataclass(frozen=True)
class Case:
    """Small options of a feature space, and how it is to be treated.

    Args:
        options: made in a folder.
        costly: whether its features are worth keeping.
        grey: grey images are to it what colour images with equal channels are.
    """

    options: Callable[[Path], Options]
    costly: bool = True
    grey: bool = True


CASES = {
    "pixels": Case(lambda _: {}, costly=False, grey=False),
    "pca": Case(lambda _: {"components": 5}, costly=False, grey=False),
    "transformers": Case(lambda folder: {"model": str(save_vit(folder / "vit"))}),
    "timm": Case(
        lambda folder: {
            "model": "pooling",
            "checkpoint": str(save_pooling(folder / "pooling.safetensors")),
        }
    ),
    "onnx": Case(onnx_options),
    "callable": Case(callable_options, grey=False),
}
IMAGES = pictures(11, side=12)


def test_every_registered_feature_space_has_a_case() -> None:
    assert set(CASES) == set(FEATURES)


@pytest.fixture(scope="module", autouse=True)
def _timm() -> Iterator[None]:
    # timm itself is no dependency; tests/features/test_timm_encoder.py asks it where it is there.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "timm", stand_in_for_timm())
        yield


@pytest.fixture(scope="module", params=sorted(CASES))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def options(name: str, tmp_path_factory: pytest.TempPathFactory) -> Options:
    return CASES[name].options(tmp_path_factory.mktemp(name))


@pytest.fixture(scope="module")
def space(name: str, options: Options) -> FeatureSpace:
    return FEATURES.create(name, options).fit(IMAGES)


def test_it_keeps_the_protocol(name: str, space: FeatureSpace) -> None:
    assert isinstance(space, FeatureSpace)
    rows = space(IMAGES)
    assert rows.dtype == torch.float64
    assert rows.shape == (11, rows.shape[1])
    assert bool(rows.isfinite().all())
    assert len(rows.unique(dim=0)) == 11
    assert space.describe()["features"] == name


def test_what_was_done_survives_a_record(space: FeatureSpace) -> None:
    assert json.loads(json.dumps(space.describe(), allow_nan=False)) == space.describe()


def test_options_survive_a_configuration_file(name: str, options: Options) -> None:
    checked = FEATURES.check(name, options)
    assert json.loads(json.dumps(checked)) == checked
    again = FEATURES.create(name, checked).fit(IMAGES)
    first = FEATURES.create(name, options).fit(IMAGES)
    assert torch.equal(again(IMAGES), first(IMAGES))
    assert again.describe() == first.describe()


def test_an_image_has_the_same_features_in_any_company(space: FeatureSpace) -> None:
    rows = space(IMAGES)
    assert torch.equal(space(IMAGES), rows)
    order = torch.randperm(11, generator=torch.Generator().manual_seed(0))
    for chosen in (order, order[:4], order[:1]):
        torch.testing.assert_close(space(IMAGES[chosen]), rows[chosen], rtol=1e-5, atol=1e-6)


def test_the_type_of_the_images_changes_nothing(space: FeatureSpace) -> None:
    torch.testing.assert_close(space(IMAGES.double()), space(IMAGES), rtol=1e-5, atol=1e-6)


def test_images_and_random_numbers_are_left_alone(name: str, options: Options) -> None:
    images, state = IMAGES.clone(), torch.get_rng_state()
    FEATURES.create(name, options).fit(images)(images)
    assert torch.equal(images, IMAGES)
    assert torch.equal(torch.get_rng_state(), state)


def test_other_images_do_not_shape_a_fitted_space(space: FeatureSpace) -> None:
    rows, told = space(IMAGES), space.describe()
    space.fit(pictures(6, side=12, seed=1))
    assert torch.equal(space(IMAGES), rows)
    assert space.describe() == told


def test_what_has_no_features_is_said(space: FeatureSpace) -> None:
    with pytest.raises(DataError, match=r"shape \(0, 3, 12, 12\)"):
        space(IMAGES[:0])
    wrong = IMAGES.clone()
    wrong[4, 1, 0, 0] = torch.inf
    for asked in (space, Cached(space)):
        with pytest.raises(DataError, match="image 4 holds NaN or an infinity"):
            asked(wrong)


@pytest.mark.parametrize("grey", sorted(name for name, case in CASES.items() if case.grey))
def test_grey_is_equal_channels(grey: str, tmp_path: Path) -> None:
    encoder = FEATURES.create(grey, CASES[grey].options(tmp_path))
    images = pictures(5, channels=1, side=12)
    assert torch.equal(encoder.fit(images)(images), encoder(images.expand(-1, 3, -1, -1)))


def test_kept_features_are_those_computed(name: str, space: FeatureSpace, tmp_path: Path) -> None:
    rows = space(IMAGES)
    for kept in (Cached(space), Cached(space, tmp_path), Cached(space, tmp_path)):
        assert torch.equal(kept(IMAGES), rows)
        assert torch.equal(kept(IMAGES.flip(0)), rows.flip(0))
        assert kept.describe() == space.describe()
    assert isinstance(cached(space), Cached) == CASES[name].costly


def test_importing_the_room_does_not_import_heavy_libraries() -> None:
    import subprocess

    code = "import sys, ecotone.features as f; [f.FEATURES.find(name) for name in f.FEATURES]; "
    code += "assert not {'transformers', 'onnxruntime', 'timm'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
