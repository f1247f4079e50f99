from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from ecotone.core.errors import ConfigError, DataError, EcotoneError
from ecotone.populations.arrays import Arrays


def save(path: Path, array: np.ndarray) -> str:
    np.save(path, array)
    return str(path)


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_vectors_stay_as_they_are(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    data = Arrays(save(tmp_path / "v.npy", values))
    assert torch.equal(data.items, torch.from_numpy(values))
    assert (data.shape, data.value_range, data.ids[2]) == ((3,), None, "v-0000002")


@pytest.mark.parametrize(
    ("shape", "layout", "axes"),
    [
        ((6, 5, 7), "auto", None),
        ((6, 5, 7), "nhw", None),
        ((6, 3, 5, 7), "auto", (0, 1, 2, 3)),
        ((6, 5, 7, 3), "auto", (0, 3, 1, 2)),
        ((6, 3, 5, 3), "nchw", (0, 1, 2, 3)),
        ((6, 3, 5, 3), "nhwc", (0, 3, 1, 2)),
    ],
)
def test_images_come_out_with_channels_first_in_minus_one_to_one(
    tmp_path: Path, shape: tuple[int, ...], layout: str, axes: tuple[int, ...] | None
) -> None:
    array = pixels(*shape)
    array.flat[:2] = 0, 255
    path = save(tmp_path / "i.npy", array)
    data = Arrays(path, layout=layout)  # pyright: ignore[reportArgumentType]
    expected = array[:, None] if axes is None else array.transpose(axes)
    assert data.value_range == (-1.0, 1.0)
    assert torch.allclose(data.items.double(), torch.from_numpy(expected / 127.5 - 1), atol=6e-8)
    assert (float(data.items.min()), float(data.items.max())) == (-1.0, 1.0)


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [(0, 1, (0.0, 1.0)), (-1, 1, (-1.0, 1.0)), (-3, 3, None), (0, 255, None)],
)
def test_floats_are_never_rescaled(
    tmp_path: Path, low: float, high: float, told: tuple[float, float] | None
) -> None:
    array = np.random.default_rng(0).uniform(low, high, (5, 1, 4, 4)).astype(np.float32)
    array.flat[:2] = low, high
    data = Arrays(save(tmp_path / "f.npy", array), layout="nchw")
    assert torch.equal(data.items, torch.from_numpy(array))
    assert data.value_range == told
    raw = Arrays(str(tmp_path / "f.npy"), layout="raw")
    assert raw.value_range is None
    assert raw.fingerprint != data.fingerprint


def test_raw_keeps_any_shape_and_integers(tmp_path: Path) -> None:
    array = np.arange(4 * 2 * 3 * 5).reshape(4, 2, 3, 5)
    data = Arrays(save(tmp_path / "r.npy", array), layout="raw")
    assert data.shape == (2, 3, 5)
    assert torch.equal(data.items, torch.from_numpy(array).float())
    bytes_ = Arrays(save(tmp_path / "b.npy", pixels(4, 2, 2)), layout="raw")
    assert torch.equal(bytes_.items, torch.from_numpy(pixels(4, 2, 2)).float())


@pytest.mark.parametrize(
    ("array", "hint"),
    [
        (pixels(6, 3, 5, 3), "layout=nchw or --set population.layout=nhwc"),
        (pixels(6, 5, 7, 9), "layout=nchw or --set population.layout=nhwc"),
        (np.zeros((6, 5, 7)), "layout=nhw or --set population.layout=raw"),
        (np.zeros((6, 1, 2, 2, 2)), "--set population.layout=raw"),
    ],
)
def test_an_ambiguous_layout_is_refused(tmp_path: Path, array: np.ndarray, hint: str) -> None:
    with pytest.raises(ConfigError, match="more ways than one") as caught:
        Arrays(save(tmp_path / "a.npy", array))
    assert hint in str(caught.value)


def test_a_layout_of_other_axes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"shape \(6, 5, 7\), which is not nchw"):
        Arrays(save(tmp_path / "a.npy", pixels(6, 5, 7)), layout="nchw")
    with pytest.raises(DataError, match=r"holds shape \(6,\)"):
        Arrays(save(tmp_path / "a.npy", pixels(6)))


def test_an_npz_of_one_array_needs_no_key_and_of_several_does(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(6, 3))
    np.savez(tmp_path / "one.npz", x=values)
    np.savez_compressed(tmp_path / "two.npz", x=values, y=2 * values)
    one = Arrays(str(tmp_path / "one.npz"))
    assert torch.equal(Arrays(str(tmp_path / "two.npz"), key="x").items, one.items)
    with pytest.raises(ConfigError, match=r"holds x, y: no key .* --set population.key=NAME"):
        Arrays(str(tmp_path / "two.npz"))
    with pytest.raises(ConfigError, match=r"holds x, y: none is 'z'"):
        Arrays(str(tmp_path / "two.npz"), key="z")
    with pytest.raises(ConfigError, match=r"remove population.key"):
        Arrays(save(tmp_path / "v.npy", values), key="x")


def test_groups_from_a_key_or_a_file_are_never_divided(tmp_path: Path) -> None:
    values, labels = np.arange(24.0).reshape(12, 2), np.arange(12) // 3
    np.savez(tmp_path / "d.npz", x=values, patient=labels)
    save(tmp_path / "v.npy", values)
    inside = Arrays(str(tmp_path / "d.npz"), groups="patient")
    words = save(tmp_path / "p.npy", np.array([f"p{label}" for label in labels]))
    outside = Arrays(str(tmp_path / "v.npy"), groups=words)
    for data in (inside, outside):
        split = data.split(6, 4, seed=0)
        held = {int(v) // 6 for v in split.holdout[:, 0]}
        assert held.isdisjoint({int(v) // 6 for v in split.training[:, 0]})
        assert len(held) == 2


def test_groups_that_do_not_fit(tmp_path: Path) -> None:
    path = save(tmp_path / "v.npy", np.zeros((6, 2)))
    np.savez(tmp_path / "d.npz", x=np.zeros((6, 2)), y=np.zeros(6))
    with pytest.raises(ConfigError, match=r"no groups 'patient' in .*, which holds x, y"):
        Arrays(str(tmp_path / "d.npz"), groups="patient", key="x")
    with pytest.raises(DataError, match="5 labels for 6 items"):
        Arrays(path, groups=save(tmp_path / "g.npy", np.arange(5)))
    with pytest.raises(DataError, match=r"float64 of shape \(6,\)"):
        Arrays(path, groups=save(tmp_path / "g.npy", np.zeros(6)))
    with pytest.raises(DataError, match="there is no file"):
        Arrays(path, groups=str(tmp_path / "absent.npy"))


class Trap:
    """Writes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    objects = np.array([Trap(sprung)] * 5, dtype=object)
    np.save(tmp_path / "o.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "o.npz", x=objects, allow_pickle=True)
    (tmp_path / "p.npy").write_bytes(pickle.dumps(Trap(sprung)))
    for name, told in [
        ("o.npy", "o.npy holds Python objects"),
        ("o.npz", "o.npz holds Python objects"),
        ("p.npy", "p.npy is no numpy file"),
    ]:
        with pytest.raises(DataError, match=told) as caught:
            Arrays(str(tmp_path / name))
        assert "never loaded" in str(caught.value)
    assert not sprung.exists()


def test_damaged_files_are_named(tmp_path: Path) -> None:
    whole = Path(save(tmp_path / "w.npy", np.zeros((50, 3)))).read_bytes()
    np.savez_compressed(tmp_path / "w.npz", x=np.random.default_rng(0).normal(size=(50, 3)))
    squeezed = (tmp_path / "w.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "text.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    flipped = bytearray(squeezed)
    flipped[200:240] = bytes(40)
    for name, data in [
        ("empty.npy", b""),
        ("text.npy", b"a,b\n1,2\n"),
        ("short.npy", whole[:-10]),
        ("header.npy", whole[:40]),
        ("short.npz", squeezed[:-30]),
        ("flipped.npz", bytes(flipped)),
        ("huge.npy", whole.replace(b"(50, 3), }     ", b"(90000000000000000, 3), }")),
    ]:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=name):
            Arrays(str(tmp_path / name))
    with pytest.raises(DataError, match=r"'readme.txt', which is no array"):
        Arrays(str(tmp_path / "text.npz"))
    with pytest.raises(DataError, match=r"neither \.npy nor \.npz"):
        Arrays(str(tmp_path / "table.csv"))
    with pytest.raises(DataError, match="there is no file"):
        Arrays(str(tmp_path / "absent.npy"))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_the_first_value_that_is_not_finite_is_named(tmp_path: Path, value: float) -> None:
    array = np.zeros((6, 4, 4, 1))
    array[2, 1, 3, 0] = array[4, 0, 0, 0] = value
    with pytest.raises(DataError, match=r"item 2 \(n-0000002\) holds (nan|inf) at .*\(0, 1, 3\)"):
        Arrays(save(tmp_path / "n.npy", array), layout="nhwc")


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.zeros((6, 4, 4), dtype=np.int64), "holds int64"),
        (np.zeros((6, 3), dtype=bool), "holds bool"),
        (np.zeros((6, 3), dtype=complex), "holds complex128"),
        (np.full((6, 3), "x"), "holds <U1"),
        (np.zeros((6, 3), dtype="datetime64[s]"), "holds datetime64"),
        (np.zeros((3, 3)), "3 items of shape"),
        (np.zeros((0, 3)), "0 items of shape"),
        (np.zeros((6, 0)), r"6 items of shape \(0,\)"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, array: np.ndarray, told: str) -> None:
    layout = "nhw" if array.ndim == 3 else "auto"
    with pytest.raises(EcotoneError, match=told):
        Arrays(save(tmp_path / "a.npy", array), layout=layout)
