from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cifar_files import (
    encoded,
    labelled_images,
    planes,
    write_binary,
    write_folders,
    write_hub,
    write_pickle,
    write_rows,
)
from ecotone.core.errors import ConfigError, DataError
from ecotone.core.locations import DATA_VARIABLE
from ecotone.populations import POPULATIONS
from ecotone.populations.cifar10 import CLASSES, Cifar10

PIXELS, LABELS = labelled_images(20)
TEST_PIXELS, TEST_LABELS = labelled_images(6, seed=1)
COPY = os.environ.get(DATA_VARIABLE)


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATA_VARIABLE, raising=False)


@pytest.fixture(autouse=True)
def network(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Fail for every call to the hub that a test has not foreseen; what was asked is kept."""
    import huggingface_hub

    asked: list[dict[str, Any]] = []

    def download(**call: Any) -> str:
        asked.append(call)
        raise ConnectionError("there is no network here")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return asked


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    root = tmp_path / "copy"
    write_hub(root, "train", PIXELS, LABELS)
    write_hub(root, "test", TEST_PIXELS, TEST_LABELS)
    return root


def eight_bit(items: torch.Tensor) -> np.ndarray:
    """Return the 8-bit values of items, with whatever is between them, channels last."""
    return ((items.double() + 1) * 127.5).permute(0, 2, 3, 1).numpy()


# --- what the items are ---


def test_pixels_labels_and_ids(copy: Path) -> None:
    data = Cifar10(str(copy))
    assert (data.name, data.size, data.shape) == ("cifar10", 20, (3, 32, 32))
    assert data.value_range == (-1.0, 1.0)
    assert np.array_equal(eight_bit(data.items).round(), PIXELS)
    assert data.labels.tolist() == LABELS.tolist()
    assert data.ids[15] == "train/00015 dog"
    assert CLASSES[15 % 10] == "dog"


def test_parts(copy: Path) -> None:
    train, test, both = (Cifar10(str(copy), part=part) for part in ("train", "test", "all"))
    assert test.ids[0] == "test/00000 airplane"
    assert both.ids == train.ids + test.ids
    assert torch.equal(both.items, torch.cat([train.items, test.items]))
    assert torch.equal(both.labels, torch.cat([train.labels, test.labels]))


@pytest.mark.parametrize("size", [16, 8])
@pytest.mark.parametrize("grey", [False, True])
def test_smaller_images_are_exact_means_of_blocks(copy: Path, size: int, grey: bool) -> None:
    block = 32 // size
    whole = Cifar10(str(copy), grey=grey)
    small = Cifar10(str(copy), grey=grey, size=size)
    values = eight_bit(whole.items).round()
    means = values.reshape(20, size, block, size, block, -1).mean((2, 4))
    exact = (means / 127.5 - 1).astype(np.float32)  # from float64, so rounded once
    ulp = np.spacing(np.float32(1))
    found = small.items.permute(0, 2, 3, 1).numpy()
    assert np.abs(found - exact).max() <= ulp / 2
    assert len(np.unique(found)) > 256  # more than 8 bits can hold


def test_grey_is_pillows_luma(copy: Path) -> None:
    data = Cifar10(str(copy), grey=True)
    expected = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in PIXELS])
    assert data.shape == (1, 32, 32)
    assert np.array_equal(eight_bit(data.items)[..., 0].round(), expected)


@settings(max_examples=200, deadline=None)
@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_every_colour_has_pillows_luma(colour: tuple[int, int, int]) -> None:
    from ecotone.populations.cifar10 import _luma

    found = _luma(np.array(colour, dtype=np.uint8).reshape(1, 3, 1, 1)).item()
    assert found == Image.new("RGB", (1, 1), colour).convert("L").getpixel((0, 0))


def test_classes_are_names_or_numbers_in_any_order(copy: Path) -> None:
    data = Cifar10(str(copy), classes=["dog", "3"])
    assert data.labels.tolist() == [3, 5, 3, 5]
    assert data.ids == ("train/00003 cat", "train/00005 dog", "train/00013 cat", "train/00015 dog")
    assert np.array_equal(eight_bit(data.items).round(), PIXELS[[3, 5, 13, 15]])
    same = Cifar10(str(copy), classes=[3, "cat", 5])
    assert same.fingerprint == data.fingerprint


def test_images_of_other_classes_are_not_decoded(tmp_path: Path) -> None:
    images: list[bytes | None] = [encoded(image) for image in PIXELS]
    images[4] = b"no image"
    write_rows(tmp_path / "train-0.parquet", images, LABELS.tolist())
    assert Cifar10(str(tmp_path), classes=["cat", "dog"]).size == 4
    with pytest.raises(DataError, match=r"train-0\.parquet, row 4, as an image"):
        Cifar10(str(tmp_path))


def test_options_that_cannot_be(copy: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no class 'dgo'; did you mean 'dog'"):
        Cifar10(str(copy), classes=["dgo"])
    with pytest.raises(ConfigError, match="there is no class '10'"):
        Cifar10(str(copy), classes=[10])
    with pytest.raises(ConfigError, match="leaves no image"):
        Cifar10(str(copy), classes=[])
    with pytest.raises(ConfigError, match=r"size = 28 .*32, 16 or 8"):
        Cifar10(str(copy), size=28)
    with pytest.raises(ConfigError, match="option 'part' = 'valid'"):
        POPULATIONS.create("cifar10", {"path": str(copy), "part": "valid"})
    with pytest.raises(DataError, match="4 items or more"):
        Cifar10(str(copy), classes=["dog"])


# --- where they lie ---


PARTS = (slice(9), slice(9, 10), slice(10, 13), slice(13, 16), slice(16, 20))


def write_batches(folder: Path, pixels: np.ndarray, labels: np.ndarray) -> None:
    for number, part in enumerate(PARTS, start=1):
        write_binary(folder / f"data_batch_{number}.bin", pixels[part], labels[part])


def in_three_layouts(root: Path) -> list[Path]:
    """Write the same images, in the order of their classes, in every layout."""
    order = np.argsort(LABELS, kind="stable")
    pixels, labels = PIXELS[order], LABELS[order]
    write_hub(root / "hub", "train", pixels, labels)
    write_folders(root / "folders" / "train", pixels, labels)
    write_folders(root / "flat", pixels, labels)
    binary, pickled = root / "bin" / "cifar-10-batches-bin", root / "py" / "cifar-10-batches-py"
    write_batches(binary, pixels, labels)
    for number, part in enumerate(PARTS, start=1):
        whole = {"data": planes(pixels[part]), "labels": labels[part].tolist()}
        write_pickle(pickled / f"data_batch_{number}", whole)
    return [root / name for name in ("hub", "folders", "flat", "bin", "py")]


def test_the_fingerprint_is_the_same_in_every_layout(tmp_path: Path) -> None:
    populations = [Cifar10(str(root)) for root in in_three_layouts(tmp_path)]
    assert len({p.fingerprint for p in populations}) == 1
    hub, folders, flat, binary, pickled = populations
    assert hub.ids == binary.ids == pickled.ids
    assert folders.ids == flat.ids
    assert folders.ids[0] == "train/airplane/0000.png"


def test_a_set_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    """The rows of what is there would have the numbers of others."""
    hub, *_, binary, pickled = in_three_layouts(tmp_path)
    (binary / "cifar-10-batches-bin" / "data_batch_2.bin").unlink()
    with pytest.raises(DataError, match=r"cifar-10-batches-bin has no data_batch_2\.bin"):
        Cifar10(str(binary))
    for number in (1, 5):
        (pickled / "cifar-10-batches-py" / f"data_batch_{number}").unlink()
    with pytest.raises(DataError, match="has no data_batch_1, data_batch_5"):
        Cifar10(str(pickled))
    file = hub / "plain_text" / "train-00000-of-00001.parquet"
    file.rename(file.with_name("train-00001-of-00003.parquet"))
    with pytest.raises(DataError, match=r"plain_text has 1 of 3 files .*: number 0"):
        Cifar10(str(hub))


def test_the_fingerprint_follows_pixels_order_labels_and_options(tmp_path: Path) -> None:
    def fingerprint(pixels: np.ndarray, labels: np.ndarray, **options: Any) -> str:
        write_batches(tmp_path, pixels, labels)
        return Cifar10(str(tmp_path), **options).fingerprint

    other = PIXELS.copy()
    other[7, 3, 2, 1] ^= 1
    all_of_them = [
        fingerprint(PIXELS, LABELS),
        fingerprint(other, LABELS),
        fingerprint(PIXELS[::-1], LABELS[::-1]),
        fingerprint(PIXELS, LABELS[::-1]),
        *(fingerprint(PIXELS, LABELS, size=size, grey=True) for size in (32, 16, 8)),
        fingerprint(PIXELS, LABELS, size=16),
        fingerprint(PIXELS, LABELS, classes=["dog", "cat"]),
    ]
    assert len(set(all_of_them)) == len(all_of_them)
    assert fingerprint(PIXELS, LABELS, classes=list(CLASSES)) == all_of_them[0]


@pytest.mark.parametrize("below", ["", "cifar10"])
def test_the_environment_says_where_and_nothing_else(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    root = tmp_path / "data"
    root.mkdir()
    copy.rename(root / below) if below else copy.replace(root)
    write_hub(tmp_path / "other", "train", PIXELS[::-1], LABELS)
    monkeypatch.setenv(DATA_VARIABLE, str(root))
    found = POPULATIONS.create("cifar10", {})
    assert found.fingerprint == Cifar10(str(root)).fingerprint
    assert POPULATIONS.check("cifar10", {})["path"] is None
    assert Cifar10(str(tmp_path / "other")).fingerprint != found.fingerprint


def test_other_data_sets_beside_it_are_left_alone(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy.rename(tmp_path / "cifar10")
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "train-00000-of-00001.parquet").write_bytes(b"another")
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    assert Cifar10().size == 20


@pytest.mark.parametrize("name", ["cifar-10-batches-py", "cifar-10-batches-bin"])
def test_torchvisions_root_and_the_folder_in_it_both_do(tmp_path: Path, name: str) -> None:
    if name.endswith("bin"):
        write_binary(tmp_path / name / "test_batch.bin", TEST_PIXELS, TEST_LABELS)
    else:
        whole = {"data": planes(TEST_PIXELS), "labels": TEST_LABELS.tolist()}
        write_pickle(tmp_path / name / "test_batch", whole)
    root, inner = (Cifar10(str(p), part="test") for p in (tmp_path, tmp_path / name))
    assert root.ids == inner.ids
    assert root.fingerprint == inner.fingerprint


def test_nothing_found_names_the_three_ways_to_come_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: list[dict[str, Any]]
) -> None:
    def told(path: str | None) -> str:
        with pytest.raises(DataError) as caught:
            Cifar10(path)
        text = str(caught.value)
        assert "\n" not in text
        for way in ("population.path or ECOTONE_DATA", "torchvision.datasets.CIFAR10"):
            assert way in text
        assert "--set population.download=true" in text
        return text

    (tmp_path / "empty").mkdir()
    assert "neither population.path nor ECOTONE_DATA is set" in told(None)
    assert f"{tmp_path}/empty has no files in a known layout" in told(str(tmp_path / "empty"))
    assert "there is no folder" in told(str(tmp_path / "absent"))
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "empty"))
    assert f"{tmp_path}/empty (ECOTONE_DATA) has no files" in told(None)
    assert network == []


def test_a_part_that_is_not_there_is_named(tmp_path: Path) -> None:
    write_hub(tmp_path / "hub", "train", PIXELS, LABELS)
    write_folders(tmp_path / "flat", PIXELS, LABELS)
    for name in ("hub", "flat"):
        with pytest.raises(DataError, match=f"{name} has no test images; .*population.part"):
            Cifar10(str(tmp_path / name), part="test")
    with pytest.raises(DataError, match="hub has no test images"):
        Cifar10(str(tmp_path / "hub"), part="all")
    assert Cifar10(str(tmp_path / "flat"), part="all").size == 20
    (tmp_path / "bare" / "dog").mkdir(parents=True)
    with pytest.raises(DataError, match="bare has no train images"):
        Cifar10(str(tmp_path / "bare"))


# --- downloads ---


def test_a_download_is_made_only_where_nothing_lies(
    copy: Path, tmp_path: Path, network: list[dict[str, Any]]
) -> None:
    assert Cifar10(str(copy), part="all", download=True).size == 26
    write_folders(tmp_path / "folders", PIXELS, LABELS)
    assert Cifar10(str(tmp_path / "folders"), download=True).size == 20
    assert network == []
    with pytest.raises(DataError, match=r"cannot download plain_text/train.*: there is no network"):
        Cifar10(download=True)
    assert network[0]["local_files_only"]


def test_what_is_downloaded_is_what_is_missing(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    asked: list[tuple[str, str, str, Path | None]] = []

    def download(
        *, repo_id: str, repo_type: str, filename: str, local_dir: Path | None, **_: Any
    ) -> str:
        asked.append((repo_id, repo_type, filename, local_dir))
        if local_dir is None:
            return str(copy / filename)
        target = local_dir / filename
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((copy / filename).read_bytes())
        return str(target)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    train, test = (f"plain_text/{part}-00000-of-00001.parquet" for part in ("train", "test"))
    local = Cifar10(str(copy), part="all")
    assert Cifar10(part="all", download=True).fingerprint == local.fingerprint
    hub = ("uoft-cs/cifar10", "dataset")
    assert asked == [(*hub, train, None), (*hub, test, None)]
    asked.clear()
    kept = tmp_path / "kept"
    Cifar10(str(kept), download=True)
    both = Cifar10(str(kept), part="all", download=True)
    assert asked == [(*hub, train, kept), (*hub, test, kept)]
    assert both.fingerprint == Cifar10(str(kept), part="all").fingerprint == local.fingerprint


# --- the real thing ---


@pytest.mark.skipif(COPY is None, reason="set ECOTONE_DATA to a folder that holds CIFAR-10")
def test_a_whole_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATA_VARIABLE, str(COPY))
    data = Cifar10(part="test", size=8, grey=True)
    assert data.size == 10_000
    assert data.labels.bincount().tolist() == [1000] * 10
    assert float(data.items.mean()) == pytest.approx(2 * 0.48 - 1, abs=0.02)  # its mean grey
    # Neighbouring values correlate by more than a half; those of noise differ by √2 times more.
    rows = data.items[:, 0, 1:] - data.items[:, 0, :-1]
    assert float(rows.std()) < float(data.items.std())
