"""Folders of image files."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ecotone.core.errors import ConfigError, DataError
from ecotone.populations.base import FiniteData, centred

__all__ = ["FORMATS", "SUFFIXES", "ImageFolder", "image_files", "read_image"]

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif"}
# Named formats only: no file can call for a reader that runs another program.
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF")
_EIGHT_BIT = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "La", "RGBa"}


class ImageFolder(FiniteData):
    """The images of a folder and of those in it, (channels, height, width) in [-1, 1].

    Files are taken in the order of their relative paths, which are their ids. A file is an image
    by its suffix (png, jpg, jpeg, bmp, webp, tif, tiff, gif, in any case); others, and those whose
    name begins with a dot, are left alone. Each is turned upright as its EXIF says, transparency
    is laid over white, and an 8-bit value v becomes v/127.5 − 1.

    Args:
        path: the folder.
        size: side in pixels: each image is cut to its central square and resized to it with
            Pillow's Lanczos filter (which averages when it reduces). None keeps images as they
            are, and then all must have one size.
        grey: one channel of luma (ITU-R 601) in place of red, green and blue.
        groups: ``folder`` makes the images of one folder a group that no split divides.

    Raises:
        ConfigError: for a size below 1.
        DataError: for a folder that is missing or has no images; a file that is no image, is
            damaged, has several frames, more than 8 bits a channel, or more pixels than Pillow
            deems safe; images of different sizes without ``size``.
    """

    def __init__(
        self,
        path: str,
        size: int | None = None,
        grey: bool = False,
        groups: Literal["none", "folder"] = "none",
    ) -> None:
        if size is not None and size < 1:
            raise ConfigError(f"folder: size = {size} is too small", hint="give 1 pixel or more")
        root = Path(path)
        files = image_files(root)
        images = [read_image(file, size=size, grey=grey) for file in files]
        _check_one_size(files, images)
        ids = [file.relative_to(root).as_posix() for file in files]
        pixels = np.stack(images).astype(np.float32).transpose(0, 3, 1, 2)
        super().__init__(
            torch.from_numpy(centred(pixels)),
            ids,
            name="folder",
            value_range=(-1.0, 1.0),
            groups=[str(Path(i).parent) for i in ids] if groups == "folder" else None,
            options={"size": size, "grey": grey, "resize": None if size is None else "lanczos"},
        )


def image_files(root: Path) -> list[Path]:
    """Return the image files under a folder, sorted by relative path.

    Raises:
        DataError: where there is no such folder, or no image in it.
    """
    if not root.is_dir():
        raise DataError(
            f"{root} is not a folder" if root.exists() else f"there is no folder {root}",
            hint="set population.path to a folder of images",
        )
    files = [
        file
        for file in root.rglob("*")
        if file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and not file.is_dir()
    ]
    if not files:
        raise DataError(
            f"{root} has no images", hint=f"known suffixes: {', '.join(sorted(SUFFIXES))}"
        )
    return sorted(files, key=lambda file: file.relative_to(root).as_posix())


def read_image(
    file: Path | BytesIO | Image.Image,
    *,
    size: int | None = None,
    grey: bool = False,
    told: str | None = None,
) -> NDArray[np.uint8]:
    """Return one image file as (height, width, channels), uint8.

    Args:
        file: the image.
        size: side to cut and resize to, as for :class:`ImageFolder`.
        grey: one channel instead of three.
        told: what errors call it; its path where None.

    Raises:
        DataError: for a file that cannot be read as one still 8-bit image.
    """
    told = told or str(file)
    try:
        with warnings.catch_warnings():
            # Pillow warns of damaged files by one, and of decompression bombs by the other.
            warnings.simplefilter("error", UserWarning)
            warnings.simplefilter("error", RuntimeWarning)
            held = isinstance(file, Image.Image)
            with nullcontext(file) if held else Image.open(file, formats=FORMATS) as opened:
                # The second picture of a camera's MPO is a preview or another view of the first.
                still = opened.format == "MPO" or getattr(opened, "n_frames", 1) == 1
                mode = opened.mode
                opened.load()
                upright = ImageOps.exif_transpose(opened)
    except Exception as error:  # Pillow's readers raise many kinds for damaged files
        raise DataError(
            f"cannot read {told} as an image: {error}", hint="remove it from the folder or mend it"
        ) from error
    if not still:
        raise DataError(f"{told} has more than one frame", hint="save each, or one, as an image")
    if mode not in _EIGHT_BIT:
        raise DataError(
            f"{told} has pixels of mode {mode}, which is not 8 bits a channel",
            hint="save it with 8 bits a channel, or all as floats in a .npy for `arrays`",
        )
    if upright.has_transparency_data:
        layer = upright.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        upright = Image.alpha_composite(white, layer)
    flat = upright.convert("L" if grey else "RGB")
    if size is not None:
        flat = ImageOps.fit(flat, (size, size), method=Image.Resampling.LANCZOS)
    pixels = np.asarray(flat)
    return pixels[:, :, None] if grey else pixels


def _check_one_size(files: list[Path], images: list[NDArray[np.uint8]]) -> None:
    first = images[0].shape[:2]
    for file, image in zip(files, images, strict=True):
        if image.shape[:2] != first:
            (height, width), (other_height, other_width) = first, image.shape[:2]
            side = min(height, width, other_height, other_width)
            raise DataError(
                f"images differ in size: {files[0]} is {width}×{height} and {file} is "
                f"{other_width}×{other_height} (width×height)",
                hint=f"--set population.size={side} cuts and resizes all to {side}×{side}",
            )
