"""An audit's folder that is not whole: every harm names its file."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from audit_folder import AuditRecipe, write_audit_folder
from ecotone.core.errors import RecordError
from ecotone.core.tensors import read_tensors, write_tensors
from ecotone.report import build
from ecotone.report.audit_folder import is_audit, read_audit
from ecotone.report.audit_pairs import RawPairs, encode_pairs

SMALL = AuditRecipe(generated=40, copies=8, training=60)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole audit with its page. Do not change it."""
    folder = write_audit_folder(tmp_path_factory.mktemp("audit") / "whole", SMALL)
    build(folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path, built: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "audit"))


def test_a_whole_folder_is_read_as_it_was_written(built: Path) -> None:
    held = read_audit(built)
    assert is_audit(built)
    assert held.record.outcome == "copies"
    assert (held.training.height, held.generated.height) == (60, 40)
    assert held.generated["copy"].sum() == 8
    assert held.training["p_value"].dtype == pl.Float64
    assert held.holdout is not None
    assert (held.holdout.height, held.holdout["gap_ratio"].dtype) == (250, pl.Float64)
    assert held.pairs is not None
    assert held.noun == "images"


def test_what_items_are_called_is_for_the_record_to_say(folder: Path) -> None:
    path = folder / "audit.json"
    record = json.loads(path.read_text())
    for held in record["sets"].values():
        held["is_image"] = False
    path.write_text(json.dumps(record))
    assert read_audit(folder).noun == "items"


def test_without_a_holdout_a_table_of_one_is_not_looked_at(tmp_path: Path) -> None:
    write_audit_folder(tmp_path, replace(SMALL, holdout=False))
    assert not (tmp_path / "holdout.csv").exists()
    (tmp_path / "holdout.csv").write_text("of another audit")
    assert read_audit(tmp_path).holdout is None


@pytest.mark.parametrize("name", ["training.csv", "generated.csv", "holdout.csv"])
def test_a_missing_table_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(RecordError, match=f"there is no file .*{name}; run the audit again"):
        build(folder)


@pytest.mark.parametrize(
    "name", ["audit.json", "training.csv", "generated.csv", "holdout.csv", "gallery.safetensors"]
)
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.999])
def test_a_truncated_file_is_named_and_the_old_page_stays(
    folder: Path, name: str, kept: float
) -> None:
    before = (folder / "report.html").read_bytes()
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: int(kept * (len(whole) - 1))])
    with pytest.raises(RecordError, match=name.replace(".", r"\.")):
        build(folder)
    assert (folder / "report.html").read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": "fine"},
        {"form": "ecotone.audit/2"},
        {"level": None},
        {"sets": {}},
        {"unknown": 1},
        {"readings": {"x": {"value": "high"}}},
    ],
)
def test_a_record_of_another_form_is_named(folder: Path, change: dict[str, Any]) -> None:
    path = folder / "audit.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(RecordError, match=r"audit\.json"):
        build(folder)
    path.write_text("[]")
    with pytest.raises(RecordError, match=r"audit\.json"):
        build(folder)


@pytest.mark.parametrize(
    ("name", "column", "value"),
    [
        ("training.csv", "copies", "many"),
        ("training.csv", "distance", "near"),
        ("generated.csv", "copy", "perhaps"),
        ("generated.csv", "rank", "first"),
        ("holdout.csv", "distance", "near"),
    ],
)
def test_a_column_that_is_lacking_or_wrong_is_named(
    folder: Path, name: str, column: str, value: str
) -> None:
    table = pl.read_csv(folder / name)
    table.with_columns(pl.lit(value).alias(column)).write_csv(folder / name)
    with pytest.raises(RecordError, match=name):
        build(folder)
    table.drop(column).write_csv(folder / name)
    with pytest.raises(RecordError, match=f"{name} lacks the column '{column}'"):
        build(folder)


@pytest.mark.parametrize("value", ["inf", "NaN", None])
@pytest.mark.parametrize("name", ["training.csv", "generated.csv", "holdout.csv"])
def test_a_distance_that_is_no_number_is_told(folder: Path, name: str, value: str | None) -> None:
    table = pl.read_csv(folder / name, infer_schema=False)
    first = pl.int_range(pl.len()) == 0
    other = pl.when(first).then(pl.lit(value)).otherwise(pl.col("distance")).alias("distance")
    table.with_columns(other).write_csv(folder / name)
    with pytest.raises(RecordError, match=name):
        read_audit(folder)


def test_a_table_of_another_audit_is_named(folder: Path) -> None:
    table = pl.read_csv(folder / "training.csv")
    pl.concat([table, table.head(10)]).write_csv(folder / "training.csv")
    with pytest.raises(RecordError, match=r"training\.csv holds 70 .* where the audit has 60"):
        build(folder)


def test_names_that_look_like_numbers_stay_names(tmp_path: Path) -> None:
    write_audit_folder(tmp_path, AuditRecipe(generated=40, copies=8, training=60, id="{:05d}"))
    held = read_audit(tmp_path)
    assert sorted(held.training["training"].to_list())[1] == "00001"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"generated": None}, "lacks generated"),
        ({"distance_second": None}, "lacks distance_second"),
        ({"distance_holdout": None}, "lacks distance_holdout"),
        ({"second_training": np.zeros((2, 1, 8, 8))}, "is not of 8 pairs"),
        ({"distance_training": np.zeros((8, 2))}, "is not of 8 pairs"),
    ],
)
def test_pairs_that_do_not_fit_are_told(
    folder: Path, change: dict[str, np.ndarray | None], told: str
) -> None:
    held, about = read_tensors(folder / "gallery.safetensors")
    tensors: dict[str, Any] = {name: tensor.numpy()[:8] for name, tensor in held.items()}
    about = {name: value[:8] if name != "value_range" else value for name, value in about.items()}
    assert RawPairs.of(tensors, about).size == 8
    tensors |= change
    with pytest.raises(ValueError, match=told):
        RawPairs.of({name: t for name, t in tensors.items() if t is not None}, about)


@pytest.mark.parametrize("given", [[1, 1], [1], "wide", [0, "high"]])
def test_a_range_that_is_none_is_told(folder: Path, given: object) -> None:
    tensors, about = read_tensors(folder / "gallery.safetensors")
    write_tensors(folder / "gallery.safetensors", tensors, {**about, "value_range": given})
    with pytest.raises(RecordError, match=r"gallery\.safetensors: its value_range"):
        build(folder)


def test_without_a_range_the_images_give_one(folder: Path) -> None:
    tensors, about = read_tensors(folder / "gallery.safetensors")
    raw = RawPairs.of(
        {name: 100 * tensor.numpy() for name, tensor in tensors.items()},
        {**about, "value_range": None},
    )
    assert raw.value_range == (-100.0, 100.0)


def test_the_clearest_copy_of_all_counts() -> None:
    stack = np.zeros((1, 1, 2, 2), dtype=np.float32)
    tensors = dict.fromkeys(("generated", "nearest_training", "second_training"), stack)
    tensors |= {
        name: np.zeros(1, dtype=np.float32) for name in ("distance_training", "distance_second")
    }
    about = {name: ["\udcff\n"] for name in ("generated_ids", "training_ids", "second_ids")}
    raw = RawPairs.of(tensors, {**about, "value_range": [0.0, 1.0]})
    (pair,) = encode_pairs(raw, 10**6)
    assert (raw.ratios, raw.copies) == ((0.0,), 1)
    assert pair.copied
    assert [image.name for image in pair.images] == ["  "] * 3
