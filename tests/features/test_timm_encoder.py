"""The encoder of timm's models: against timm where it is installed, and against a stand-in."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ecotone.core import ConfigError, DataError
from ecotone.features.timm_encoder import TimmEncoder
from features.tiny_encoders import Pooling, pictures, save_pooling, stand_in_for_timm

IMAGES = pictures(5, side=16)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(sys.modules, "timm", stand_in_for_timm())
    return save_pooling(tmp_path / "pooling.safetensors")


def test_features_are_those_of_the_model(weights: Path) -> None:
    model = Pooling()
    state = {name: w for name, w in load_file(weights).items() if not name.startswith("head")}
    model.load_state_dict(state)
    mean, std = (torch.tensor(model.pretrained_cfg[name]) for name in ("mean", "std"))
    with torch.no_grad():
        expected = model(((IMAGES + 1) / 2 - mean.view(3, 1, 1)) / std.view(3, 1, 1))
    space = TimmEncoder("pooling", str(weights), batch_size=2).fit(IMAGES)
    torch.testing.assert_close(space(IMAGES), expected.double(), rtol=1e-4, atol=1e-5)
    told = space.describe()
    assert told["weights"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert told["size"] == [16, 16]


def test_a_model_without_weights_is_refused(weights: Path) -> None:
    with pytest.raises(ConfigError, match=r"no weights; set checkpoint.*or pretrained=true"):
        TimmEncoder("pooling")
    with pytest.raises(ConfigError, match="two places"):
        TimmEncoder("pooling", str(weights), pretrained=True)
    with pytest.raises(DataError, match="there is no file"):
        TimmEncoder("pooling", "absent.safetensors")
    with pytest.raises(DataError, match="may be a pickle"):
        TimmEncoder("pooling", str(weights.rename(weights.with_suffix(".pth"))))


def test_an_unknown_model_is_named_with_the_nearest(weights: Path) -> None:
    with pytest.raises(ConfigError, match=r"no model 'poolin'; did you mean 'pooling'\?$"):
        TimmEncoder("poolin", str(weights))


def test_weights_of_another_model_are_refused(weights: Path) -> None:
    state = load_file(weights)
    for wrong, told in (
        ({k: v for k, v in state.items() if k != "stem.bias"}, "it lacks stem.bias"),
        ({**state, "neck.weight": torch.zeros(1)}, "the model has no neck.weight"),
        ({**state, "stem.weight": torch.zeros(6, 3, 2, 2)}, "does not fit pooling"),
    ):
        save_file(wrong, weights)
        with pytest.raises(DataError, match=told):
            TimmEncoder("pooling", str(weights)).fit(IMAGES)


def test_weights_are_fetched_only_when_asked(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    def download(repository: str, file: str) -> str:
        asked.append((repository, file))
        return str(weights)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    given = TimmEncoder("pooling", str(weights))
    assert not asked
    fetched = TimmEncoder("pooling", pretrained=True)
    assert asked == [("timm/pooling", "model.safetensors")]
    assert torch.equal(fetched(IMAGES), given(IMAGES))

    def fail(repository: str, file: str) -> str:
        raise OSError("no route")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fail)
    with pytest.raises(DataError, match=r"no safetensors of pooling can be fetched.*no route"):
        TimmEncoder("pooling", pretrained=True)


def test_without_timm_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ConfigError, match=r"timm cannot be imported.*pip install timm"):
        TimmEncoder("resnet18", pretrained=True)


def test_a_model_of_timm_itself(tmp_path: Path) -> None:
    # No extra of ecotone's has timm, so that nothing can require it here.
    timm = pytest.importorskip("timm", reason="timm, which needs torchvision, is not installed")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = timm.create_model("test_vit").eval()
    file = tmp_path / "vit.safetensors"
    save_file(model.state_dict(), file)
    images = pictures(3, side=model.pretrained_cfg["input_size"][1])
    found = TimmEncoder("test_vit", str(file), batch_size=2).fit(images)(images)
    mean, std = (torch.tensor(model.pretrained_cfg[name]) for name in ("mean", "std"))
    with torch.no_grad():
        seen = ((images + 1) / 2 - mean.view(3, 1, 1)) / std.view(3, 1, 1)
        expected = model.forward_head(model.forward_features(seen), pre_logits=True)
    torch.testing.assert_close(found, expected.double(), rtol=1e-4, atol=1e-4)
