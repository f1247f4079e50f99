from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from ecotone.core.errors import RecordError
from ecotone.report.study import read_study


@pytest.fixture
def folder(study_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(study_folder, tmp_path / "study"))


def test_lines_stand_for_the_training_set_size(study_folder: Path) -> None:
    study = read_study(study_folder)
    assert study.axis == "n"
    assert study.levels(study.conditions[0]) == [16, 32, 64, 128]
    assert [condition.label for condition in study.conditions] == [""]


def test_another_factor_makes_conditions(make_study: Callable, recipe: type, tmp_path: Path):
    small = {"sizes": (16, 32), "measured": 3, "images": False}
    make_study(
        tmp_path,
        recipe(**small, extra=(("model", "unet"),)),
        recipe(**small, extra=(("model", "mlp"),)),
    )
    study = read_study(tmp_path)
    assert [condition.label for condition in study.conditions] == ["model = mlp", "model = unet"]
    own = study.conditions[0].of(study.runs)
    assert own["model"].unique().to_list() == ["mlp"]
    assert own.height == 2


def test_with_one_size_the_other_factor_is_drawn(
    make_study: Callable, recipe: type, tmp_path: Path
):
    small = {"sizes": (16,), "measured": 3, "images": False}
    rates = (0.1, 0.01)
    make_study(tmp_path, *(recipe(**small, extra=(("rate", rate),)) for rate in rates))
    study = read_study(tmp_path)
    assert study.axis == "rate"
    assert study.levels(study.conditions[0]) == [0.01, 0.1]


@pytest.mark.parametrize("name", ["results.parquet", "runs.parquet", "references.parquet"])
def test_a_truncated_table_is_named_with_what_to_do(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RecordError, match=name) as caught:
        read_study(folder)
    assert caught.value.hint is not None
    assert "--out" in caught.value.hint


@pytest.mark.parametrize("name", ["study.json", "results.parquet", "runs.parquet"])
def test_a_missing_record_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(RecordError, match=name):
        read_study(folder)


def test_a_study_without_references_is_read(folder: Path) -> None:
    (folder / "references.parquet").unlink()
    assert read_study(folder).references is None


def test_a_missing_column_is_named(folder: Path) -> None:
    path = folder / "results.parquet"
    pl.read_parquet(path).drop("samples").write_parquet(path)
    with pytest.raises(RecordError, match=r"results\.parquet lacks the column 'samples'"):
        read_study(folder)


def test_text_in_place_of_numbers_is_named(folder: Path) -> None:
    path = folder / "results.parquet"
    pl.read_parquet(path).with_columns(pl.col("value").cast(pl.String)).write_parquet(path)
    with pytest.raises(RecordError, match="column 'value' is String"):
        read_study(folder)


def test_no_reading_at_all_is_an_error(folder: Path) -> None:
    path = folder / "results.parquet"
    pl.read_parquet(path).clear().write_parquet(path)
    with pytest.raises(RecordError, match="nothing to report"):
        read_study(folder)


def test_a_folder_that_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="there is no study folder"):
        read_study(tmp_path / "nowhere")
