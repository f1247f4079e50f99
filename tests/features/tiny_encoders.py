"""Encoders small enough for tests, and what to do where a package for them is missing."""

from __future__ import annotations

import json
import os
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ecotone.core.seeds import torch_generator

SIZE = 32


def needs(name: str) -> Any:
    """Import an optional package; skip the test without it, or fail if all are required."""
    try:
        return import_module(name)
    except ImportError as error:
        if os.environ.get("ECOTONE_REQUIRE_EXTRAS") == "1":
            raise
        pytest.skip(f"{error}: pip install 'ecotone[encoders]'", allow_module_level=True)


def pictures(n: int, *, channels: int = 3, side: int = SIZE, seed: int = 0) -> Tensor:
    """Return images in [-1, 1] of 8 bits, as a folder of PNG files gives them."""
    draws = torch.randint(256, (n, channels, side, side), generator=torch_generator(seed, "images"))
    return (2 * draws.float() - 255) / 255


def vision_options(**changes: Any) -> dict[str, Any]:
    options: dict[str, Any] = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "image_size": SIZE,
        "patch_size": 8,
        # Far from the default 0.02, so that layers and images differ clearly.
        "initializer_range": 0.3,
    }
    return options | changes


def save_model(folder: Path, model: Any, **preprocessor: Any) -> Path:
    """Save a transformers model quietly, and what its images go through if that is said."""
    from ecotone.features.transformers_encoder import _quiet

    with _quiet():
        model.save_pretrained(folder)
    if preprocessor:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return folder


def save_vit(folder: Path, *, seed: int = 0, **preprocessor: Any) -> Path:
    transformers = needs("transformers")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = transformers.ViTModel(transformers.ViTConfig(**vision_options()))
    return save_model(folder, model, **preprocessor)


def save_onnx(
    file: Path,
    *,
    batch: int | str = "n",
    channels: int = 3,
    sides: tuple[int | str, int | str] = (4, 4),
    seed: int = 0,
    **saving: Any,
) -> Path:
    """Save relu(flat(x) W) as "features" and, where x is three channels, x as "images"."""
    onnx = needs("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    weights = torch.randn(channels * 16, 5, generator=torch_generator(seed, "weights"))
    outputs = [helper.make_tensor_value_info("features", kind, [batch, 5])]
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "weights"], ["product"]),
        helper.make_node("Relu", ["product"], ["features"]),
    ]
    if channels == 3:
        nodes.append(helper.make_node("Identity", ["x"], ["images"]))
        outputs.append(helper.make_tensor_value_info("images", kind, [batch, channels, *sides]))
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("x", kind, [batch, channels, *sides])],
        outputs,
        [onnx.numpy_helper.from_array(weights.numpy(), "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, str(file), **saving)
    return file


class Pooling(nn.Module):
    """The form of a timm model with num_classes=0: a stem, and a mean over places."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 4, stride=4)
        self.pretrained_cfg = {
            "input_size": (3, 16, 16),
            "mean": (0.5, 0.4, 0.3),
            "std": (0.2, 0.3, 0.4),
            "classifier": "head",
        }

    def forward(self, images: Tensor) -> Tensor:
        return self.stem(images).relu().mean((2, 3))


def stand_in_for_timm() -> ModuleType:
    """Return a module with the four functions of timm that are called, and one model."""
    module = ModuleType("timm")

    def create_model(name: str, *, pretrained: bool, num_classes: int) -> Pooling:
        assert (name, pretrained, num_classes) == ("pooling", False, 0)
        return Pooling()

    functions = {
        "__version__": "0",
        "is_model": lambda name: name.partition(".")[0] == "pooling",
        "list_models": lambda: ["pooling", "other"],
        "get_pretrained_cfg": lambda name: SimpleNamespace(hf_hub_id=f"timm/{name}"),
        "create_model": create_model,
    }
    for name, value in functions.items():
        setattr(module, name, value)
    return module


def save_pooling(file: Path, *, seed: int = 0) -> Path:
    """Save the weights of the one model, with those of a classifier."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state = Pooling().state_dict()
    save_file({**state, "head.weight": torch.zeros(10, 6), "head.bias": torch.zeros(10)}, file)
    return file
