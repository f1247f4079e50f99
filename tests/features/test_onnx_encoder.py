from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ecotone.core import ConfigError, DataError
from ecotone.core.seeds import torch_generator
from ecotone.features.cache import Cached
from ecotone.features.onnx_encoder import OnnxEncoder
from features.tiny_encoders import needs, pictures, save_onnx

needs("onnx")
needs("onnxruntime")

MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]
IMAGES = pictures(7, side=4)


def encoder(file: Path, **changes: Any) -> OnnxEncoder:
    options = {"mean": MEAN, "std": STD, "output": "features", **changes}
    return OnnxEncoder(str(file), **options)


def expected(images: Tensor, seed: int = 0) -> Tensor:
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    weights = torch.randn(48, 5, generator=torch_generator(seed, "weights"))
    return ((((images + 1) / 2 - mean) / std).flatten(1) @ weights).relu().double()


@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize("batch", ["n", 1, 3])
def test_features_are_those_of_the_graph(batch: int | str, batch_size: int, tmp_path: Path) -> None:
    space = encoder(save_onnx(tmp_path / "a.onnx", batch=batch), batch_size=batch_size)
    assert space.batch_size == (batch_size if batch == "n" else batch)
    found = space.fit(IMAGES)(IMAGES)
    torch.testing.assert_close(found, expected(IMAGES), rtol=1e-4, atol=1e-4)


def test_the_graph_or_the_user_says_the_size(tmp_path: Path) -> None:
    fixed = save_onnx(tmp_path / "fixed.onnx")
    assert encoder(fixed).describe()["size"] == [4, 4]
    assert encoder(fixed, size=4)(pictures(2, side=9)).shape == (2, 5)
    with pytest.raises(ConfigError, match=r"size = 5 is not that of .*\[4, 4\]"):
        encoder(fixed, size=5)
    free = save_onnx(tmp_path / "free.onnx", sides=("h", "w"))
    with pytest.raises(ConfigError, match="does not say its image size; set size"):
        encoder(free)
    assert torch.equal(encoder(free, size=4)(IMAGES), encoder(fixed)(IMAGES))
    with pytest.raises(DataError, match=r"cannot be run on \(1, 3, 5, 5\)"):
        encoder(free, size=5)(IMAGES[:1])


def test_a_grey_encoder_sees_grey_images(tmp_path: Path) -> None:
    file = save_onnx(tmp_path / "grey.onnx", channels=1)
    with pytest.raises(ConfigError, match="takes 1 channels, and mean"):
        encoder(file)
    space = encoder(file, mean=[0.5], std=[0.5])
    assert space(pictures(3, channels=1, side=8)).shape == (3, 5)
    with pytest.raises(DataError, match="with 1 channel"):
        space.fit(IMAGES)


def test_an_output_is_named_where_there_are_several(tmp_path: Path) -> None:
    file = save_onnx(tmp_path / "a.onnx")
    with pytest.raises(ConfigError, match="is not told which: it has features, images; set output"):
        encoder(file, output=None)
    with pytest.raises(ConfigError, match="has no output 'logits'"):
        encoder(file, output="logits")
    with pytest.raises(DataError, match=r"features of shape \(2, 3, 4, 4\) for 2 images"):
        encoder(file, output="images").fit(IMAGES)
    single = save_onnx(tmp_path / "grey.onnx", channels=1)
    assert encoder(single, mean=[0], std=[1], output=None).describe()["output"] == "features"


def test_the_record_has_the_hash_of_the_file(tmp_path: Path) -> None:
    files = [save_onnx(tmp_path / f"{seed}.onnx", seed=seed) for seed in (0, 1)]
    spaces = [encoder(file) for file in files]
    told = [space.describe()["weights"] for space in spaces]
    assert told[0] == hashlib.sha256(files[0].read_bytes()).hexdigest() != told[1]
    kept = [Cached(space, tmp_path / "kept") for space in spaces]
    for seed, space in enumerate(kept):
        torch.testing.assert_close(space(IMAGES), expected(IMAGES, seed), rtol=1e-4, atol=1e-4)
        assert space.computed == 7


def test_weights_in_another_file_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever they lie: their hash would not be in the record."""
    saving: dict[str, Any] = {"save_as_external_data": True, "size_threshold": 0}
    file = save_onnx(tmp_path / "a.onnx", location="a.data", **saving)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"weights in another file; save them in one"):
        encoder(file)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        encoder(tmp_path / "absent.onnx")
    (tmp_path / "a.onnx").write_bytes(b"nonsense")
    with pytest.raises(DataError, match="cannot read"):
        encoder(tmp_path / "a.onnx")


def test_without_onnxruntime_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"pip install 'ecotone\[encoders\]'"):
        encoder(Path("a.onnx"))
