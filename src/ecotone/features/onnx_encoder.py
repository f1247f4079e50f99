"""Encoders exported to ONNX, run by onnxruntime on the CPU."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ecotone.core.errors import ConfigError, DataError
from ecotone.features.encoder import Encoder, file_hash, optional
from ecotone.features.preparation import Preparation, pair

__all__ = ["OnnxEncoder"]

# Where weights outside the file would be looked for: their hash would not be in the record.
_NOWHERE = "session.model_external_initializers_file_folder_path"


class OnnxEncoder(Encoder):
    """Features that a graph computes from float images (n, channels, height, width).

    The graph must be one file, weights included, with one input. How many threads it takes follows
    torch's setting. A graph made for batches of one size is given batches of that size, the last
    filled up with copies of its last image.

    Args:
        path: of the ``.onnx`` file.
        mean: of each channel, in units of [0, 1]; a file does not say what its images had
            subtracted. ImageNet's is 0.485, 0.456, 0.406; 0 where the graph does it itself.
        std: what is divided by, likewise. ImageNet's is 0.229, 0.224, 0.225.
        size: side in pixels to resize to; what the graph says where None.
        output: name of the output that is the features, where the graph has several.
        batch_size: how many images it sees at once.
        value_range: lowest and highest value of the data, see
            :class:`~ecotone.features.preparation.Preparation`.

    Raises:
        ConfigError: where onnxruntime is not installed, or options do not fit the graph.
        DataError: for a file that is missing, damaged, or has its weights in another.
    """

    def __init__(
        self,
        path: str,
        mean: list[float],
        std: list[float],
        size: int | None = None,
        output: str | None = None,
        batch_size: int = 64,
        value_range: list[float] | None = None,
    ) -> None:
        super().__init__(batch_size)
        optional("onnxruntime", "pip install 'ecotone[encoders]'")
        self.path = Path(path)
        if not self.path.is_file():
            raise DataError(f"there is no file {path}", hint="set path to an .onnx file")
        graph_input = self._input
        batch, channels, *sides = graph_input.shape
        if isinstance(channels, int) and channels != len(mean):
            raise ConfigError(
                f"{path} takes {channels} channels, and mean = {mean} is for {len(mean)}",
                hint=f"give {channels} values each of mean and std",
            )
        fixed = [side for side in sides if isinstance(side, int)]
        if size is None and len(fixed) < 2:
            raise ConfigError(f"{path} does not say its image size", hint="set size, in pixels")
        if size is not None and any(side != size for side in fixed):
            raise ConfigError(
                f"size = {size} is not that of {path}: {fixed}", hint="leave size out"
            )
        height, width = fixed if size is None else (size, size)
        self.preparation = Preparation((height, width), tuple(mean), tuple(std), pair(value_range))
        self._fixed_batch = batch if isinstance(batch, int) else None
        if self._fixed_batch is not None:
            self.batch_size = self._fixed_batch
        self.output = self._find_output(output)

    def describe(self) -> dict[str, Any]:
        """Return what was done: file, its hash, output and preparation."""
        return {
            "features": "onnx",
            "model": self.path.name,
            "weights": self._hash,
            "output": self.output,
            "batch_size": self.batch_size,
            "onnxruntime": optional("onnxruntime", "").__version__,
            **self.preparation.describe(),
        }

    def _check(self, images: Tensor) -> None:
        self.preparation.check(images)

    def _encode(self, batch: Tensor) -> Tensor:
        pixels = self.preparation(batch).cpu()
        count = len(pixels)
        if self._fixed_batch is not None and count < self._fixed_batch:
            more = self._fixed_batch - count
            pixels = torch.cat([pixels, pixels[-1:].expand(more, -1, -1, -1)])
        given = {self._input.name: pixels.contiguous().numpy()}
        try:
            (features,) = self._session.run([self.output], given)
        except Exception as error:  # onnxruntime raises kinds of its own
            raise DataError(
                f"{self.path} cannot be run on {tuple(pixels.shape)}: {error}",
                hint="export it for float32 images of any number",
            ) from error
        rows = torch.from_numpy(features)
        # An output that does not follow the batch is left as it is, to be refused.
        return rows[:count] if len(rows) == len(pixels) else rows

    @cached_property
    def _hash(self) -> str:
        return file_hash([self.path])

    @cached_property
    def _session(self) -> Any:
        runtime = optional("onnxruntime", "pip install 'ecotone[encoders]'")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry(_NOWHERE, str(self.path))
        try:
            return runtime.InferenceSession(
                self.path.read_bytes(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises kinds of its own
            said = str(error)
            if "xternal data" in said:
                raise DataError(
                    f"{self.path} has its weights in another file",
                    hint=f'save them in one: python -c "import onnx; onnx.save(onnx.load('
                    f"'{self.path}'), 'one.onnx')\"",
                ) from error
            raise DataError(f"cannot read {self.path}: {said}", hint="export it again") from error

    @property
    def _input(self) -> Any:
        inputs = self._session.get_inputs()
        named = ", ".join(f"{one.name}: {one.type} {one.shape}" for one in inputs)
        if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 4:
            raise DataError(
                f"{self.path} takes {named or 'nothing'}",
                hint="export it with one float32 input (n, channels, height, width)",
            )
        return inputs[0]

    def _find_output(self, asked: str | None) -> str:
        names = [one.name for one in self._session.get_outputs()]
        if asked is None and len(names) == 1:
            return names[0]
        if asked is None or asked not in names:
            told = "is not told which" if asked is None else f"has no output {asked!r}"
            raise ConfigError(
                f"{self.path} {told}: it has {', '.join(names)}", hint=f"set output={names[0]}"
            )
        return asked
