from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ecotone.core.errors import ConfigError, DataError
from ecotone.populations.folders import ImageFolder, read_image


def noise(height: int, width: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def fill(root: Path, count: int = 6, *, height: int = 6, width: int = 8) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        Image.fromarray(noise(height, width, seed=index)).save(root / f"{index}.png")
    return root


def test_pixels_come_back_exactly_in_the_order_of_paths(tmp_path: Path) -> None:
    fill(tmp_path / "b", 3)
    fill(tmp_path / "a" / "deep", 2)
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "a" / "._0.png").write_bytes(b"a Finder's file")
    data = ImageFolder(str(tmp_path))
    assert data.ids == ("a/deep/0.png", "a/deep/1.png", "b/0.png", "b/1.png", "b/2.png")
    assert (data.shape, data.value_range) == ((3, 6, 8), (-1.0, 1.0))
    expected = torch.from_numpy(noise(6, 8, seed=1)).permute(2, 0, 1)
    assert torch.equal((data.items[1].double() * 127.5 + 127.5).round(), expected.double())


@pytest.mark.parametrize("suffix", ["png", "PNG", "bmp", "tif", "webp", "jpg", "jpeg", "gif"])
def test_every_suffix_is_read(tmp_path: Path, suffix: str) -> None:
    grey = np.full((5, 5), 100, dtype=np.uint8)
    for index in range(4):
        Image.fromarray(grey).save(tmp_path / f"{index}.{suffix}")
    data = ImageFolder(str(tmp_path), grey=True)
    assert data.shape == (1, 5, 5)
    assert torch.allclose(data.items, torch.tensor(100 / 127.5 - 1), atol=1.01 / 127.5)


def test_size_cuts_the_central_square_and_averages(tmp_path: Path) -> None:
    # Left and right thirds are black; the middle square is a fine chequerboard of mean one half.
    image = np.zeros((32, 96), dtype=np.uint8)
    image[:, 32:64] = 255 * (np.indices((32, 32)).sum(0) % 2)
    Image.fromarray(image).save(tmp_path / "a.png")
    small = read_image(tmp_path / "a.png", size=8, grey=True)
    assert small.shape == (8, 8, 1)
    assert np.abs(small.astype(int) - 127).max() <= 12  # it rings at the edges


def test_size_brings_mixed_sizes_together_and_leaves_its_own_alone(tmp_path: Path) -> None:
    fill(tmp_path, 4, height=6, width=6)
    plain, same = ImageFolder(str(tmp_path)), ImageFolder(str(tmp_path), size=6)
    assert torch.equal(plain.items, same.items)
    Image.fromarray(noise(12, 10)).save(tmp_path / "z.png")
    assert ImageFolder(str(tmp_path), size=6).items.shape == (5, 3, 6, 6)


def test_mixed_sizes_name_two_files_and_what_to_type(tmp_path: Path) -> None:
    fill(tmp_path, 4, height=6, width=8)
    Image.fromarray(noise(12, 10)).save(tmp_path / "z.png")
    with pytest.raises(DataError) as caught:
        ImageFolder(str(tmp_path))
    told = str(caught.value)
    assert "0.png is 8×6" in told
    assert "z.png is 10×12" in told
    assert "--set population.size=6" in told


def test_exif_turns_images_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    lying = noise(4, 6)
    Image.fromarray(lying).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.png"), np.rot90(lying, -1))


def test_transparency_is_laid_over_white(tmp_path: Path) -> None:
    layer = np.zeros((4, 4, 4), dtype=np.uint8)
    layer[:2, :, 3] = 255
    layer[2, :, 3] = 128
    Image.fromarray(layer).save(tmp_path / "a.png")
    rows = read_image(tmp_path / "a.png", grey=True)[:, 0, 0]
    assert rows.tolist() == [0, 0, 127, 255]
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([255, 0, 0, 0, 0, 0])
    palette.save(tmp_path / "p.png", transparency=1)
    assert (read_image(tmp_path / "p.png") == 255).all()


def test_folders_as_groups_are_never_divided(tmp_path: Path) -> None:
    for scene in "abcd":
        fill(tmp_path / scene, 3)
        for index in range(3):  # other pixels in each scene
            Image.fromarray(noise(6, 8, seed=ord(scene) * 10 + index)).save(
                tmp_path / scene / f"{index}.png"
            )
    split = ImageFolder(str(tmp_path), groups="folder").split(6, 4, seed=0)
    held = {name.split("/")[0] for name in split.holdout_ids}
    assert len(held) == 2
    assert held.isdisjoint({name.split("/")[0] for name in split.training_ids})


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "words.png").write_text("These are words.")
    with pytest.raises(DataError, match=r"cannot read .*words\.png as an image"):
        ImageFolder(str(tmp_path))


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif", "webp", "gif"])
def test_a_truncated_image_is_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(noise(40, 40)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=rf"cut\.{suffix}"):
        read_image(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=rf"cut\.{suffix}"):
        read_image(path)


def test_a_broken_link_is_named(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(DataError, match=r"link\.png"):
        ImageFolder(str(tmp_path))


def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, 4, height=40, width=40)
    for limit in (1000, 500):  # Pillow warns above its limit, and raises above twice that
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(DataError, match=r"0\.png as an image.*exceeds limit"):
            ImageFolder(str(tmp_path))


def test_a_postscript_program_under_the_name_of_an_image_is_not_run(tmp_path: Path) -> None:
    Image.fromarray(noise(4, 4)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.png")
    with pytest.raises(DataError, match="cannot identify"):
        read_image(tmp_path / "a.png")


def test_images_of_more_than_eight_bits_or_one_frame_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 40_000, dtype=np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(DataError, match=r"deep\.png has pixels of mode I;16"):
        read_image(tmp_path / "deep.png")
    Image.fromarray(np.zeros((4, 4), dtype=np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(DataError, match=r"float\.tif has pixels of mode F"):
        read_image(tmp_path / "float.tif")
    frames = [Image.fromarray(noise(4, 4, seed=seed)) for seed in range(3)]
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match=r"film\.gif has more than one frame"):
        read_image(tmp_path / "film.gif")


def test_a_cameras_second_picture_is_left_alone(tmp_path: Path) -> None:
    pictures = [Image.new("L", (16, 16), value) for value in (200, 20)]
    path = tmp_path / "camera.jpg"
    pictures[0].save(path, format="MPO", save_all=True, append_images=pictures[1:])
    assert np.abs(read_image(path, grey=True).astype(int) - 200).max() <= 2


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("nothing")
    with pytest.raises(DataError, match=r"empty has no images; known suffixes: \.bmp, \.gif"):
        ImageFolder(str(tmp_path / "empty"))
    with pytest.raises(DataError, match=r"there is no folder .*absent; set population\.path"):
        ImageFolder(str(tmp_path / "absent"))
    with pytest.raises(DataError, match=r"notes\.txt is not a folder"):
        ImageFolder(str(tmp_path / "empty" / "notes.txt"))
    with pytest.raises(DataError, match="4 items or more"):
        ImageFolder(str(fill(tmp_path / "few", 3)))
    with pytest.raises(ConfigError, match="size = 0 is too small"):
        ImageFolder(str(fill(tmp_path / "some")), size=0)
