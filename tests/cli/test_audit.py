"""``ecotone audit`` on real files of every kind, and on every wrong one."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

import ecotone.auditing
from command_line import Run, refused
from ecotone.auditing import AuditRecord
from ecotone.denoisers import MODELS
from ecotone.denoisers.pipelines import save_pipeline
from stored_sets import channels_first, encoded, photos, write_folder, write_hub

TRAINING, HOLDOUT, FRESH = (photos(90, 8, seed=seed) for seed in range(3))
PLANTED = np.concatenate([FRESH[:60], TRAINING[:30]])


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports are written where the command is called."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    """Return the words of an audit of three folders, with copies in it."""
    generated = write_folder(tmp_path / "generated", PLANTED)
    training = write_folder(tmp_path / "training", TRAINING)
    holdout = write_folder(tmp_path / "holdout", HOLDOUT)
    return [str(generated), "--training", str(training), "--holdout", str(holdout)]


def test_folders_end_in_a_verdict_a_report_and_an_exit_code(run: Run, folders: list[str]) -> None:
    ended = run("audit", *folders, "--out", "found")
    assert ended.code == 1, ended
    assert ended.out.startswith("Copies found: 33 % (")
    page = Path("found/report.html")
    assert f"Report: {page}" in ended.out
    assert "Copies found" in page.read_text()
    table = pl.read_csv("found/training.csv")
    assert set(table["training"][:30]) == {f"{row:03d}.png" for row in range(30)}


def test_json_is_the_record_and_writes_nothing(
    run: Run, folders: list[str], tmp_path: Path
) -> None:
    ended = run("audit", *folders, "--json")
    record = AuditRecord.model_validate_json(ended.out)
    assert ended.code == record.exit_code == 1
    assert not (tmp_path / "ecotone-audit").exists()
    assert not list(tmp_path.glob("**/*.html"))
    again = run("audit", *folders, "--json", "--out", "found")
    assert json.loads(again.out) == json.loads(ended.out)
    assert Path("found/report.html").exists()


def arrays(root: Path) -> tuple[str, ...]:
    for name, images in (("g", PLANTED), ("t", TRAINING), ("h", HOLDOUT)):
        np.save(root / f"{name}.npy", channels_first(images))
    return "g.npy", "--training", "t.npy", "--holdout", "h.npy"


def keys_of_one_file(root: Path) -> tuple[str, ...]:
    np.savez(root / "all.npz", g=PLANTED, t=TRAINING, h=HOLDOUT)
    return "all.npz#g", "--training", "all.npz#t", "--holdout", "all.npz#h"


def hub(root: Path) -> tuple[str, ...]:
    write_hub(root / "data/data/train-00000-of-00001.parquet", [encoded(i) for i in TRAINING])
    write_hub(root / "data/data/test-00000-of-00001.parquet", [encoded(i) for i in HOLDOUT])
    write_hub(root / "generated.parquet", [encoded(image) for image in PLANTED])
    return "generated.parquet", "--training", "data#train", "--holdout", "data#test"


def mixed(root: Path) -> tuple[str, ...]:
    write_folder(root / "g", PLANTED)
    np.save(root / "t.npy", TRAINING)
    write_hub(root / "h.parquet", [encoded(image) for image in HOLDOUT])
    return "g", "--training", "t.npy", "--holdout", "h.parquet"


def tables(root: Path) -> tuple[str, ...]:
    random = np.random.default_rng(0)
    training, holdout, fresh = (random.normal(size=(90, 5)) for _ in range(3))
    fresh[:30] = training[:30]
    for name, rows in (("g", fresh), ("t", training), ("h", holdout)):
        pl.DataFrame(rows, schema=list("abcde")).write_parquet(root / f"{name}.parquet")
    return "g.parquet", "--training", "t.parquet", "--holdout", "h.parquet"


def without_holdout(root: Path) -> tuple[str, ...]:
    write_folder(root / "g", PLANTED)
    write_folder(root / "t", TRAINING)
    return "g", "--training", "t"


@pytest.mark.parametrize("kind", [arrays, keys_of_one_file, hub, mixed, tables, without_holdout])
def test_every_kind_of_source_is_audited(kind, run: Run, tmp_path: Path) -> None:
    ended = run("audit", *kind(tmp_path), "--json")
    assert ended.code == 1, ended
    record = AuditRecord.model_validate_json(ended.out)
    assert record.readings["copied_share_gap_ratio"].value == pytest.approx(1 / 3, abs=0.04)
    assert record.basis == ("halves" if kind is without_holdout else "holdout")


def test_a_pipeline_is_sampled(run: Run, tmp_path: Path) -> None:
    options = {"width": 8, "prediction": "epsilon"}
    model = MODELS.create("unet", options, shape=(3, 8, 8), sigma_data=0.5)
    save_pipeline(model, tmp_path / "pipeline", value_range=(-1.0, 1.0))
    write_folder(tmp_path / "t", TRAINING)
    write_folder(tmp_path / "h", HOLDOUT)
    words = ("audit", "pipeline", "--training", "t", "--holdout", "h", "--samples", "24", "--json")
    ended = run(*words)
    assert ended.code in (3, 4), ended
    record = AuditRecord.model_validate_json(ended.out)
    assert record.sets["generated"].items == 24
    assert record.sets["generated"].type == "uint8"
    assert run(*words).out == ended.out


def test_names_with_html_in_them_are_text(run: Run, tmp_path: Path) -> None:
    hostile = "<img src=x onerror=alert(1)>.png"
    for name, images in (("g", PLANTED), ("t", TRAINING), ("h", HOLDOUT)):
        folder = write_folder(tmp_path / name, images)
        (folder / "007.png").rename(folder / hostile)
    (tmp_path / "g" / "067.png").rename(tmp_path / "g" / f"copy of {hostile}")
    assert run("audit", "g", "--training", "t", "--holdout", "h").code == 1
    page = Path("ecotone-audit/report.html").read_text()
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;.png" in page


def broken(root: Path, what: str) -> tuple[str, ...]:
    """Return the words of an audit that something is wrong with."""
    write_folder(root / "g", PLANTED[:8])
    write_folder(root / "t", TRAINING[:8])
    write_folder(root / "h", HOLDOUT[:8])
    words = {"g": "g", "t": "t", "h": "h"}
    if what == "no such path":
        words["g"] = "missing"
    elif what == "empty folder":
        (root / "empty").mkdir()
        words["t"] = "empty"
    elif what == "corrupt image":
        (root / "t/003.png").write_bytes(encoded(TRAINING[0])[:60])
    elif what == "text for an image":
        (root / "h/000.png").write_text("not an image")
    elif what == "other shapes":
        np.save(root / "g.npy", np.zeros((9, 4)))
        words["g"] = "g.npy"
    elif what == "not a number":
        values = np.random.default_rng(0).normal(size=(9, 3))
        values[4, 1] = np.nan
        for name in "gth":
            np.save(root / f"{name}.npy", values)
            words[name] = f"{name}.npy"
    elif what == "pickle":
        (root / "g.pkl").write_bytes(pickle.dumps([1, 2]))
        words["g"] = "g.pkl"
    elif what == "torch file":
        torch.save(torch.zeros(3), root / "g.pt")
        words["g"] = "g.pt"
    elif what == "pickled objects":
        np.save(root / "g.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
        words["g"] = "g.npy"
    elif what == "pickle named npy":
        (root / "g.npy").write_bytes(pickle.dumps(np.zeros((3, 3))))
        words["g"] = "g.npy"
    elif what == "truncated parquet":
        file = write_hub(root / "h.parquet", [encoded(image) for image in HOLDOUT[:5]])
        file.write_bytes(file.read_bytes()[:-40])
        words["h"] = "h.parquet"
    elif what == "holdout is training":
        words["h"] = "t"
    elif what == "generated is holdout":
        words["g"] = "h"
    elif what == "one training image":
        write_folder(root / "one", TRAINING[:1])
        words["t"] = "one"
    elif what == "all constant":
        write_folder(root / "flat", np.full((4, 8, 8, 3), 7, dtype=np.uint8))
        words["g"] = "flat"
    return words["g"], "--training", words["t"], "--holdout", words["h"]


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("no such path", "missing"),
        ("empty folder", "empty"),
        ("corrupt image", "003.png"),
        ("text for an image", "000.png"),
        ("other shapes", "g.npy"),
        ("not a number", "4"),
        ("pickle", "pickle"),
        ("torch file", "pickle"),
        ("pickled objects", "pickle"),
        ("pickle named npy", "never loaded"),
        ("truncated parquet", "h.parquet"),
        ("holdout is training", "also in the training set"),
        ("generated is holdout", "also in the holdout"),
        ("one training image", "1 item"),
        ("all constant", "constant"),
    ],
)
def test_wrong_sets_end_in_one_line(what: str, told: str, run: Run, tmp_path: Path) -> None:
    refused(run("audit", *broken(tmp_path, what)), told)
    assert not (tmp_path / "ecotone-audit").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--groups", "patient"), "patient"),
        (("--share", "0"), "share = 0.0"),
        (("--level", "2"), "level = 2.0"),
        (("--features", "transformers:nowhere"), "nowhere"),
        (("--features", "unknown"), "unknown"),
        (("--features", "{broken"), "no JSON"),
    ],
)
def test_wrong_words_end_in_one_line(
    words: tuple[str, ...], told: str, run: Run, folders: list[str]
) -> None:
    refused(run("audit", *folders, *words), told)


def test_without_a_training_set_the_usage_is_told(run: Run) -> None:
    ended = run("audit", "g")
    assert ended.code == 2
    assert "--training" in ended.err


def test_a_pickle_is_never_loaded(run: Run, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return Path.touch, (tmp_path / "sprung",)

    write_folder(tmp_path / "t", TRAINING[:8])
    (tmp_path / "g.npy").write_bytes(pickle.dumps(Trap()))
    np.save(tmp_path / "o.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    for suffix in ("pkl", "pt", "bin"):
        (tmp_path / f"g.{suffix}").write_bytes(pickle.dumps(Trap()))
    for name in ("g.npy", "o.npy", "g.pkl", "g.pt", "g.bin"):
        assert run("audit", name, "--training", "t").code == 2
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("raised", "code", "told"),
    [
        (KeyboardInterrupt(), 130, "Interrupted"),
        (ZeroDivisionError("odd"), 70, "defect of ecotone"),
        (MemoryError(), 2, "out of memory"),
    ],
)
def test_what_is_no_verdict_has_no_verdicts_exit_code(
    raised: BaseException,
    code: int,
    told: str,
    run: Run,
    folders: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(**_: object) -> None:
        raise raised

    monkeypatch.setattr(ecotone.auditing, "audit", fail, raising=False)
    ended = run("audit", *folders)
    assert ended.code == code
    assert told in ended.err


def test_mixed_sizes_are_brought_to_one_and_told(run: Run, tmp_path: Path) -> None:
    write_folder(tmp_path / "g", photos(40, 10, 14, seed=5))
    for name, images in (("t", TRAINING), ("h", HOLDOUT)):
        large = [np.asarray(Image.fromarray(image).resize((16, 16))) for image in images]
        write_folder(tmp_path / name, np.stack(large))
    ended = run("audit", "g", "--training", "t", "--holdout", "h", "--json")
    record = AuditRecord.model_validate_json(ended.out)
    assert [c.kind for c in record.confounders if "sizes" in c.kind] == ["mixed sizes"]
    assert record.sets["training"].shape == [3, 10, 10]
