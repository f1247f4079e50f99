from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ecotone.core.errors import DataError
from ecotone.populations import source_arrays, source_tables, spool
from ecotone.populations.sources import open_items, open_sets
from stored_sets import channels_first, encoded, photos, write_folder, write_hub

IMAGES = channels_first(photos(6))


@pytest.mark.parametrize("name", ["a.csv", "a.png", "a.jpg", "a", "a.h5", "a.tar.gz"])
def test_files_of_other_kinds_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(encoded(photos(1)[0]))
    with pytest.raises(DataError, match=rf"generated \(.*{name}\) is of no known kind; give"):
        open_items(tmp_path / name, role="generated")


@pytest.mark.parametrize("path", ["{}", "{}#x"])
def test_a_path_that_is_not_there_says_what_may_be(tmp_path: Path, path: str) -> None:
    with pytest.raises(DataError, match=r"no file or folder .*/absent; give a folder of images"):
        open_items(path.format(tmp_path / "absent"), role="training")


def test_kinds_are_known_in_any_case(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", IMAGES)
    (tmp_path / "a.npy").rename(tmp_path / "A.NPY")
    pl.DataFrame({"a": [1.0, 2.0]}).write_parquet(tmp_path / "B.PARQUET")
    assert len(open_items(tmp_path / "A.NPY", role="training")) == 6
    assert len(open_items(tmp_path / "B.PARQUET", role="training")) == 2


def test_a_training_set_has_two_items_or_more_and_others_one() -> None:
    with pytest.raises(DataError, match=r"training \(array of shape .*\) has 1 item; give 2"):
        open_sets(generated=IMAGES, training=IMAGES[:1])
    generated, training, holdout = open_sets(
        generated=IMAGES[:1], training=IMAGES[:2], holdout=IMAGES[2:3]
    )
    assert (len(generated), len(training), len(holdout or [])) == (1, 2, 1)
    assert open_sets(generated=IMAGES, training=IMAGES)[2] is None


def test_generated_items_need_no_groups(tmp_path: Path) -> None:
    hub = write_hub(tmp_path / "t.parquet", [encoded(p) for p in photos(6)], patient=list("aabbcc"))
    np.savez(tmp_path / "h.npz", x=IMAGES, patient=np.arange(6))
    generated, training, holdout = open_sets(
        generated=IMAGES, training=hub, holdout=tmp_path / "h.npz", groups="patient"
    )
    assert generated.groups is None
    assert training.groups == tuple("aabbcc")
    assert holdout is not None
    assert holdout.groups == tuple("012345")
    assert open_sets(generated=hub, training=hub, groups="patient")[0].groups == tuple("aabbcc")
    with pytest.raises(DataError, match="no groups 'patient' in holdout"):
        open_sets(generated=hub, training=hub, holdout=IMAGES, groups="patient")


def test_groups_may_be_given_for_each_set(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "f", photos(6))
    generated, training, holdout = open_sets(
        generated=IMAGES,
        training=folder,
        holdout=IMAGES,
        groups={"training": "folder", "holdout": [1, 2, 3, 1, 2, 3]},
    )
    assert (generated.groups, training.groups) == (None, (".",) * 6)
    assert holdout is not None
    assert holdout.groups == tuple("123123")
    with pytest.raises(DataError, match="no groups 'x' in generated"):
        open_sets(generated=folder, training=folder, groups={"generated": "x"})


def test_progress_counts_the_items_of_all_sets(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "f", photos(100))
    told: list[tuple[int, int]] = []
    open_sets(
        generated=IMAGES,
        training=folder,
        holdout=IMAGES[:, ::-1],
        progress=lambda done, total: told.append((done, total)),
    )
    done = [each for each, _ in told]
    assert done == sorted(done)
    assert told[-1] == (112, 112)
    assert 6 < done[1] < 106  # It is told of a folder's images before all are read.


def test_large_sets_lie_in_files_and_hold_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = photos(40, 9)
    folder = write_folder(tmp_path / "f", pictures)
    hub = write_hub(tmp_path / "h.parquet", [encoded(picture) for picture in pictures])
    np.save(tmp_path / "a.npy", pictures)
    np.savez_compressed(tmp_path / "a.npz", pictures / 255)
    kept = [open_items(each, role="training") for each in (folder, hub)]
    monkeypatch.setattr(spool, "LIMIT", 1000)
    monkeypatch.setattr(source_arrays, "_SMALL", 1000)
    monkeypatch.setattr(source_tables, "_STEP", 1000)
    for source in (folder, hub, tmp_path / "a.npy", tmp_path / "a.npz", list(pictures)):
        items = open_items(source, role="training")
        assert torch.equal(items.items, kept[0].items)
        assert items.facts.fingerprint == kept[1].facts.fingerprint


@given(st.permutations(range(6)))
def test_a_fingerprint_is_of_the_content_in_any_order(order: list[int]) -> None:
    facts = open_items(IMAGES, role="training").facts
    assert open_items(IMAGES[order], role="training").facts.fingerprint == facts.fingerprint
    for other in (IMAGES[order[:5]], IMAGES ^ 1, IMAGES / 250, IMAGES.transpose(0, 1, 3, 2)):
        assert open_items(other, role="training").facts.fingerprint != facts.fingerprint


def test_facts_are_plain_values(tmp_path: Path) -> None:
    write_folder(tmp_path, photos(2, 8, 6))
    record = open_items(tmp_path, role="training", size=4).facts.to_record()
    assert json.loads(json.dumps(record)) == record
    assert record["sizes"] == [[8, 6, 2]]
    assert record["formats"] == {"PNG": 2}
    assert record["resized_to"] == 4


def test_duplicates_and_constant_items_are_kept() -> None:
    flat = np.zeros((4, 3, 6, 6), dtype=np.uint8)
    assert len(open_items(flat, role="training")) == 4
