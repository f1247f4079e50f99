from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ecotone.core.errors import DataError
from ecotone.populations import source_arrays, spool
from ecotone.populations.sources import Items, open_items
from stored_sets import channels_first, photos

VALUES = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)


def opened(path: object, **options) -> Items:
    return open_items(path, role="training", **options)


def save(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def test_an_npy_is_given_as_it_is(tmp_path: Path) -> None:
    items = opened(save(tmp_path / "v.npy", VALUES))
    assert torch.equal(items.items, torch.from_numpy(VALUES))
    assert (items.kind, items.ids[2], items.value_range) == ("array", "v.npy#2", None)
    assert (items.is_image, items.facts.layout, items.facts.dtype) == (False, "raw", "float32")
    assert items.facts.range == (VALUES.min(), VALUES.max())


def test_a_large_npy_is_mapped_and_never_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_arrays, "_SMALL", 100)
    images = channels_first(photos(20))
    path = save(tmp_path / "i.npy", images)
    before = path.read_bytes()
    items = opened(path)
    assert torch.equal(items.items, torch.from_numpy(images))
    items.items[:] = 7
    assert path.read_bytes() == before


@pytest.mark.parametrize("limit", [0, 1 << 40])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "|u1", "<f2", ">i2"])
def test_every_order_of_axes_and_bytes_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, order: str, dtype: str
) -> None:
    monkeypatch.setattr(spool, "LIMIT", limit)
    monkeypatch.setattr(source_arrays, "_SMALL", 100)
    values = np.asarray(np.arange(7 * 5).reshape(7, 5), dtype=dtype, order=order)  # type: ignore
    save(tmp_path / "v.npy", values)
    np.savez(tmp_path / "v.npz", v=values)
    np.savez_compressed(tmp_path / "c.npz", v=values)
    for name in ("v.npy", "v.npz", "c.npz"):
        items = opened(tmp_path / name)
        assert items.items.tolist() == values.tolist()
        assert items.items.dtype == (torch.float64 if dtype == "<f8" else torch.float32)
        assert items.items.is_contiguous()


def test_an_array_of_an_npz_is_named_after_a_hash(tmp_path: Path) -> None:
    path = tmp_path / "two.npz"
    np.savez(path, train=VALUES, test=2 * VALUES)
    assert torch.equal(opened(f"{path}#test").items, torch.from_numpy(2 * VALUES))
    assert opened(f"{path}#test").ids[0] == "two.npz#0"
    with pytest.raises(DataError) as caught:
        opened(path)
    assert "holds train, test, and nothing says which is meant" in str(caught.value)
    assert f"give {path}#train or {path}#test" in str(caught.value)
    with pytest.raises(DataError, match=r"holds train, test, and none is 'tset'"):
        opened(f"{path}#tset")
    with pytest.raises(
        DataError, match=r"one array without a name, and none is 'x'; give .*v\.npy$"
    ):
        opened(f"{save(tmp_path / 'v.npy', VALUES)}#x")


def test_labels_beside_the_only_set_are_no_second_one(tmp_path: Path) -> None:
    np.savez(tmp_path / "samples.npz", arr_0=photos(6), arr_1=np.arange(6))
    assert opened(tmp_path / "samples.npz").items.shape == (6, 3, 6, 6)


def test_groups_are_an_array_of_the_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=VALUES, patient=np.array(list("aabbcc")), y=VALUES[:, 0])
    items = opened(f"{tmp_path / 'd.npz'}#x", groups="patient")
    assert items.groups == tuple("aabbcc")
    with pytest.raises(DataError, match=r"no groups 'site' in training .*, which holds x, patient"):
        opened(f"{tmp_path / 'd.npz'}#x", groups="site")
    with pytest.raises(DataError, match=r"groups 'y' of .* are float32 of shape \(6,\)"):
        opened(f"{tmp_path / 'd.npz'}#x", groups="y")
    np.savez(tmp_path / "short.npz", x=VALUES, patient=np.arange(5))
    with pytest.raises(DataError, match="5 groups for the 6 items"):
        opened(tmp_path / "short.npz", groups="patient")
    with pytest.raises(DataError, match=r"no groups 'patient' in .* one array without a name"):
        opened(save(tmp_path / "v.npy", VALUES), groups="patient")


def test_safetensors_are_read_by_name(tmp_path: Path) -> None:
    path = tmp_path / "s.safetensors"
    save_file({"images": torch.from_numpy(channels_first(photos(6))), "y": torch.arange(6)}, path)
    items = opened(path)
    assert torch.equal(items.items, torch.from_numpy(channels_first(photos(6))))
    assert opened(path, groups="y").groups == tuple("012345")
    half = torch.from_numpy(VALUES).bfloat16()
    save_file({"a": half, "b": half + 1}, path)
    assert torch.equal(opened(f"{path}#b").items, (half + 1).float())
    with pytest.raises(DataError, match="holds a, b, and nothing says which"):
        opened(path)


class Trap:
    """Writes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def test_pickles_are_never_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sprung = tmp_path / "sprung"
    objects = np.array([Trap(sprung)] * 5, dtype=object)
    np.save(tmp_path / "o.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "o.npz", x=objects, allow_pickle=True)
    (tmp_path / "p.npy").write_bytes(pickle.dumps(Trap(sprung)))
    for name in ("p.pt", "p.pth", "p.pkl", "p.pickle", "p.bin", "p.ckpt", "p.PT"):
        (tmp_path / name).write_bytes(pickle.dumps(Trap(sprung)))
        with pytest.raises(DataError, match=r"is a pickle \(\..*never loaded; .*\.safetensors"):
            opened(tmp_path / name)
    for small in (1 << 20, 10):
        monkeypatch.setattr(source_arrays, "_SMALL", small)
        for name, told in [
            ("o.npy", "o.npy holds Python objects"),
            ("o.npz#x", "o.npz holds Python objects"),
            ("p.npy", "p.npy is no numpy file"),
        ]:
            with pytest.raises(DataError, match=told) as caught:
                opened(tmp_path / name)
            assert "never loaded" in str(caught.value)
    with pytest.raises(DataError, match="holds Python objects"):
        opened(objects[:, None])
    assert not sprung.exists()


def test_damaged_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = save(tmp_path / "w.npy", np.zeros((50, 3))).read_bytes()
    np.savez_compressed(tmp_path / "w.npz", x=np.random.default_rng(0).normal(size=(50, 3)))
    squeezed = (tmp_path / "w.npz").read_bytes()
    flipped = bytearray(squeezed)
    flipped[200:240] = bytes(40)
    with zipfile.ZipFile(tmp_path / "text.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with zipfile.ZipFile(tmp_path / "liar.npz", "w") as archive:
        header = whole.replace(b"(50, 3), }", b"(50000, 300000), }"[:10])
        archive.writestr("x.npy", header[:-8])
    save_file({"x": torch.zeros(9, 9)}, tmp_path / "w.safetensors")
    tensors = (tmp_path / "w.safetensors").read_bytes()
    for name, data in [
        ("empty.npy", b""),
        ("text.npy", b"a,b\n1,2\n"),
        ("short.npy", whole[:-10]),
        ("head.npy", whole[:20]),
        ("short.npz", squeezed[: len(squeezed) // 2]),
        ("flipped.npz", bytes(flipped)),
        ("text.npz", None),
        ("liar.npz", None),
        ("short.safetensors", tensors[:-10]),
        ("words.safetensors", b"words"),
        ("empty.safetensors", b""),
    ]:
        if data is not None:
            (tmp_path / name).write_bytes(data)
        for small in (1 << 20, 1):
            monkeypatch.setattr(source_arrays, "_SMALL", small)
            with pytest.raises(DataError, match=name.replace(".", r"\.")):
                opened(tmp_path / name)


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.zeros(6), r"holds an array of shape \(6,\); .*array\[:, None\]"),
        (np.float64(3), r"holds an array of shape \(\)"),
        (np.zeros((0, 3)), r"holds nothing: its shape is \(0, 3\)"),
        (np.zeros((3, 0)), r"holds nothing"),
        (np.zeros((3, 2), dtype=complex), "holds complex128"),
        (np.array([["a", "b"]]), "holds <U1"),
    ],
)
def test_what_holds_no_items_is_refused(tmp_path: Path, array: np.ndarray, told: str) -> None:
    path = save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", x=array)
    for each in (path, tmp_path / "a.npz"):
        with pytest.raises(DataError, match=told):
            opened(each)


def test_a_value_that_is_not_finite_is_named(tmp_path: Path) -> None:
    values = VALUES.copy()
    values[4, 1] = np.nan
    with pytest.raises(DataError, match=r"v\.npy\): v\.npy#4 holds nan at index \(1,\)"):
        opened(save(tmp_path / "v.npy", values))
