from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ecotone.core import ConfigError, DataError
from ecotone.features.cache import Cached
from ecotone.features.transformers_encoder import TransformersEncoder
from features.tiny_encoders import SIZE, needs, pictures, save_model, save_vit, vision_options

transformers = needs("transformers")

IMAGES = pictures(7)
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
TEXT = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "vocab_size": 20,
}


def standardized(images: Tensor) -> Tensor:
    return ((images + 1) / 2 - MEAN.view(3, 1, 1)) / STD.view(3, 1, 1)


def seeded(build: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build().eval()


def vit() -> Any:
    return transformers.ViTModel(transformers.ViTConfig(**vision_options()))


def deit() -> Any:
    return transformers.DeiTModel(transformers.DeiTConfig(**vision_options()))


def dinov2() -> Any:
    return transformers.Dinov2Model(transformers.Dinov2Config(**vision_options(mlp_ratio=2)))


def registers() -> Any:
    config = transformers.Dinov2WithRegistersConfig(**vision_options(num_register_tokens=3))
    return transformers.Dinov2WithRegistersModel(config)


def clip() -> Any:
    config = transformers.CLIPConfig(
        vision_config=vision_options(),
        text_config={**TEXT, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2},
    )
    return transformers.CLIPModel(config)


# How many tokens stand before the patches, as each model's paper has it.
MODELS = {vit: 1, deit: 2, dinov2: 1, registers: 4, clip: 1}


@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
@pytest.mark.parametrize("layer", ["cls", "mean", "pooled"])
def test_features_are_those_of_the_model(build: Any, layer: Any, tmp_path: Path) -> None:
    model = seeded(build)
    encoder = TransformersEncoder(str(save_model(tmp_path, model)), layer=layer, batch_size=3)
    with torch.no_grad():
        output = getattr(model, "vision_model", model)(pixel_values=standardized(IMAGES))
    hidden = output.last_hidden_state
    assert hidden.shape[1] == 16 + MODELS[build]
    expected = {
        "cls": hidden[:, 0],
        "mean": hidden[:, -16:].mean(1),
        "pooled": output.pooler_output,
    }[layer]
    found = encoder.fit(IMAGES)(IMAGES)
    torch.testing.assert_close(found, expected.double(), rtol=1e-4, atol=1e-4)
    assert float(found.std(0).mean()) > 100 * 1e-4  # so that the tolerance tells images apart


def test_a_convolutional_model_has_means_and_no_class_token(tmp_path: Path) -> None:
    config = transformers.ConvNextConfig(
        hidden_sizes=[8, 16], depths=[1, 1], num_stages=2, image_size=SIZE
    )
    folder = str(save_model(tmp_path, seeded(lambda: transformers.ConvNextModel(config))))
    assert TransformersEncoder(folder, layer="mean")(IMAGES).shape == (7, 16)
    assert TransformersEncoder(folder, layer="pooled")(IMAGES).shape == (7, 16)
    with pytest.raises(ConfigError, match="no class token; set layer=mean"):
        TransformersEncoder(folder)(IMAGES)


@pytest.mark.parametrize("batch_size", [1, 2, 7, 64])
def test_the_batch_size_changes_nothing(batch_size: int, tmp_path: Path) -> None:
    folder = str(save_vit(tmp_path))
    together = TransformersEncoder(folder)(IMAGES)
    parts = TransformersEncoder(folder, batch_size=batch_size)(IMAGES)
    torch.testing.assert_close(parts, together, rtol=1e-5, atol=1e-5)


def test_the_model_says_how_its_images_are_prepared(tmp_path: Path) -> None:
    said = {
        "crop_size": {"height": 24, "width": 24},
        "size": {"shortest_edge": 28},
        "image_mean": [0.5, 0.4, 0.3],
        "image_std": [0.2, 0.3, 0.4],
    }
    folder = str(save_vit(tmp_path, **said))
    told = TransformersEncoder(folder).describe()
    assert (told["size"], told["mean"], told["std"]) == ([24, 24], [0.5, 0.4, 0.3], [0.2, 0.3, 0.4])
    # Positions are interpolated for another size than that of the weights.
    assert TransformersEncoder(folder, size=40)(IMAGES).shape == (7, 32)
    assert TransformersEncoder(folder, size=40).describe()["size"] == [40, 40]
    assert TransformersEncoder(folder, value_range=[0, 1]).describe()["value_range"] == [0, 1]


@pytest.mark.parametrize(
    ("said", "size", "mean"),
    [
        ({}, SIZE, 0.485),
        ({"size": 16, "do_normalize": False}, 16, 0.0),
        ({"size": {"shortest_edge": 20}}, 20, 0.485),
    ],
)
def test_what_the_model_does_not_say_is_imagenets(
    said: dict[str, Any], size: int, mean: float, tmp_path: Path
) -> None:
    told = TransformersEncoder(str(save_vit(tmp_path, **said))).describe()
    assert told["size"] == [size, size]
    assert told["mean"][0] == mean
    assert told["quantized"] == "8 bits"


def test_pixels_of_another_scale_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not scaled to"):
        TransformersEncoder(str(save_vit(tmp_path, rescale_factor=1 / 127.5)))


def test_the_record_has_hashes_of_what_was_loaded(tmp_path: Path) -> None:
    one, two = save_vit(tmp_path / "one"), save_vit(tmp_path / "two", seed=1)
    told, other = (TransformersEncoder(str(folder)).describe() for folder in (one, two))
    right = hashlib.sha256((one / "model.safetensors").read_bytes()).hexdigest()
    assert told["weights"] == right != other["weights"]
    assert told["config"] == other["config"]
    assert told["model"] == "one"  # and not where it lies
    assert told["transformers"] == transformers.__version__


def test_models_with_other_weights_share_no_kept_features(tmp_path: Path) -> None:
    folders = [save_vit(tmp_path / str(seed) / "vit", seed=seed) for seed in (0, 1)]
    spaces = [Cached(TransformersEncoder(str(folder)), tmp_path / "kept") for folder in folders]
    rows = [space(IMAGES) for space in spaces]
    assert [space.computed for space in spaces] == [7, 7]
    assert not torch.allclose(rows[0], rows[1])
    again = Cached(TransformersEncoder(str(folders[1])), tmp_path / "kept")
    assert torch.equal(again(IMAGES), rows[1])
    assert again.computed == 1  # the row that is tried


def test_weights_in_several_files_are_all_hashed(tmp_path: Path) -> None:
    single, many = save_vit(tmp_path / "vit"), tmp_path / "many"
    seeded(vit).save_pretrained(many, max_shard_size="30KB")
    assert len(list(many.glob("*.safetensors"))) > 1
    found = TransformersEncoder(str(many))
    assert torch.equal(found(IMAGES), TransformersEncoder(str(single))(IMAGES))
    first = found.describe()["weights"]
    last = sorted(many.glob("*.safetensors"))[-1]
    last.write_bytes(last.read_bytes() + b" ")
    assert TransformersEncoder(str(many)).describe()["weights"] != first
    last.unlink()
    with pytest.raises(DataError, match=f"has no {last.name}"):
        TransformersEncoder(str(many))


# --- encoders without weights, or with unsafe ones ---


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    (save_vit(tmp_path) / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"no weights; put model.safetensors beside"):
        TransformersEncoder(str(tmp_path))


def test_a_pickle_is_refused_with_how_to_convert_it(tmp_path: Path) -> None:
    (save_vit(tmp_path) / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(DataError, match=r"pytorch_model.bin, a pickle.*save_pretrained"):
        TransformersEncoder(str(tmp_path))


def test_the_conversion_that_is_told_works(tmp_path: Path) -> None:
    folder = save_vit(tmp_path)
    expected = TransformersEncoder(str(folder))(IMAGES)
    (folder / "model.safetensors").unlink()
    torch.save(seeded(vit).state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(DataError) as caught:
        TransformersEncoder(str(folder))
    assert caught.value.hint is not None
    code = caught.value.hint.split('python -c "')[1].rstrip('"')
    exec(code)
    assert torch.equal(TransformersEncoder(str(folder))(IMAGES), expected)


def test_missing_folders_and_models_of_the_hub_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(DataError, match=r"there is no folder .*absent; set model to a folder"):
        TransformersEncoder(str(tmp_path / "absent"))
    with pytest.raises(DataError, match=r"facebook/absent.*or download=true to fetch it"):
        TransformersEncoder("facebook/absent")
    with pytest.raises(DataError, match=r"has no config.json"):
        TransformersEncoder(str(tmp_path))


def test_a_model_is_fetched_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def snapshot(name: str, *, local_files_only: bool, allow_patterns: list[str]) -> str:
        assert name == "owner/vit"
        assert not any(pattern.endswith((".bin", "*")) for pattern in allow_patterns)
        asked.append(local_files_only)
        return str(folder)

    folder = save_vit(tmp_path)
    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    for download in (False, True):
        assert (
            TransformersEncoder("owner/vit", download=download).describe()["model"] == "owner/vit"
        )
    assert asked == [True, False]


def test_a_weight_that_is_missing_is_not_drawn_at_random(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = save_vit(tmp_path)
    weights = load_file(folder / "model.safetensors")

    def save_without(*prefixes: str) -> None:
        kept = {name: tensor for name, tensor in weights.items() if not name.startswith(prefixes)}
        save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})

    expected = TransformersEncoder(str(folder))(IMAGES)
    save_without("pooler")
    assert torch.equal(TransformersEncoder(str(folder))(IMAGES), expected)
    with pytest.raises(DataError, match=r"no weights for pooler.*set layer=cls or layer=mean"):
        TransformersEncoder(str(folder), layer="pooled")(IMAGES)
    save_without("embeddings.cls_token")
    with pytest.raises(DataError, match=r"no weights for embeddings.cls_token"):
        TransformersEncoder(str(folder))(IMAGES)


def test_a_model_without_images_is_refused(tmp_path: Path) -> None:
    config = transformers.BertConfig(**TEXT)
    folder = save_model(tmp_path, transformers.BertModel(config), size=16)
    with pytest.raises(ConfigError, match="BertModel, which takes no images"):
        TransformersEncoder(str(folder))(IMAGES)


def test_a_model_that_hides_patches_at_random_is_refused(tmp_path: Path) -> None:
    config = transformers.ViTMAEConfig(
        **vision_options(), decoder_hidden_size=16, decoder_num_attention_heads=2
    )
    folder = save_model(tmp_path, transformers.ViTMAEModel(config))
    with pytest.raises(ConfigError, match="when asked again"):
        TransformersEncoder(str(folder)).fit(IMAGES)


def test_code_that_comes_with_a_model_is_not_run(tmp_path: Path) -> None:
    folder = save_vit(tmp_path)
    (folder / "evil.py").write_text("raise SystemExit('it was run')")
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "evil",
        "auto_map": {k: f"evil.{k}" for k in ("AutoConfig", "AutoModel")},
    }
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match="cannot load"):
        TransformersEncoder(str(folder))(IMAGES)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    folder = save_vit(tmp_path)
    (folder / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(DataError, match="cannot load"):
        TransformersEncoder(str(folder))(IMAGES)
    (folder / "config.json").write_text("[")
    with pytest.raises(DataError, match=r"cannot read .*config.json"):
        TransformersEncoder(str(folder))


def test_loading_says_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    folder = save_vit(tmp_path)
    capfd.readouterr()
    level = transformers.utils.logging.get_verbosity()
    with caplog.at_level(logging.INFO):
        TransformersEncoder(str(folder)).fit(IMAGES)
    assert capfd.readouterr() == ("", "")
    assert transformers.utils.logging.get_verbosity() == level


def test_wrong_options_are_named(tmp_path: Path) -> None:
    folder = str(save_vit(tmp_path))
    with pytest.raises(ConfigError, match="batch_size = 0"):
        TransformersEncoder(folder, batch_size=0)
    with pytest.raises(ConfigError, match=r"device = nowhere.*set device=cpu"):
        TransformersEncoder(folder, device="nowhere")
    with pytest.raises(ConfigError, match="size = "):
        TransformersEncoder(folder, size=0)
    with pytest.raises(ConfigError, match="is no pair"):
        TransformersEncoder(folder, value_range=[1.0])
    with pytest.raises(DataError, match="may lie in"):
        TransformersEncoder(folder).fit(IMAGES.abs())


def test_without_transformers_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(ConfigError, match=r"pip install 'ecotone\[encoders\]'"):
        TransformersEncoder("owner/vit")
