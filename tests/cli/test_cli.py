from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

import ecotone
from tiny_study import write_study


def run(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ecotone.cli", *(str(word) for word in words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


def refused(*words: object, told: str) -> None:
    """One clear line, exit code 2, no traceback."""
    ended = run(*words)
    assert ended.returncode == 2, (ended.stdout, ended.stderr)
    assert "Traceback" not in ended.stderr
    lines = ended.stderr.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert told in lines[0]


def test_help_needs_no_torch() -> None:
    script = "import sys, ecotone.cli; sys.exit('torch' in sys.modules or 'polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
    assert "study" in run("--help").stdout
    assert run("--version").stdout == f"ecotone {ecotone.__version__}\n"


def test_list_names_what_there_is() -> None:
    listed = run("list").stdout
    for name in ("digits", "gaussian", "unet", "heun", "copying", "pca"):
        assert name in listed


def test_a_study_ends_in_a_report(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ended = run("study", tiny, "--out", out, "--workers", "1", "--set", "n=[4,8,6]")
    assert ended.returncode == 0, ended.stderr
    assert "3/3 runs" in ended.stderr
    assert (out / "report.html").stat().st_size > 10_000
    assert pl.read_parquet(out / "results.parquet")["n"].unique().sort().to_list() == [4, 6, 8]
    (out / "report.html").unlink()
    assert run("report", out).returncode == 0
    assert (out / "report.html").exists()


def test_an_interrupt_saves_and_says_how_to_go_on(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["study", str(tiny), "--out", str(out), "--set", "training.steps=20000"]
    words += ["--set", "n=[4]", "--workers", "1"]
    study = subprocess.Popen(
        [sys.executable, "-m", "ecotone.cli", *words], stderr=subprocess.PIPE, text=True
    )
    assert study.stderr is not None
    for line in study.stderr:
        if ": step " in line:
            study.send_signal(signal.SIGINT)
            break
    told = study.stderr.read()
    study.stderr.close()
    assert study.wait() == 130
    assert "Traceback" not in told
    assert f"ecotone study {tiny} --out {out} --set training.steps=20000" in told
    assert list((out / "runs").glob("*/checkpoint.safetensors"))
    assert pl.read_parquet(out / "runs.parquet")["status"].to_list() == ["unfinished"]


def test_a_study_with_a_failed_run_says_so(tmp_path: Path) -> None:
    study = write_study(tmp_path, factors={"training.learning_rate": [1e30, 1e-3]}, n=8)
    ended = run("study", study, "--out", tmp_path / "out")
    assert ended.returncode == 1
    assert "failed at step" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert (tmp_path / "out" / "report.html").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nothing"], "unknown study 'nothing'"),
        (["digit"], "did you mean 'digits'"),
        (["digits", "--set", "trainig.steps=4"], "did you mean 'training'"),
        (["digits", "--set", "n=1000000"], "n = 1000000 is larger than the data"),
        (["digits", "--set", "n=1"], "n = 1"),
        (["digits", "--set", "training.steps=0"], "training.steps = 0"),
        (["digits", "--set", "holdout=1796"], "holdout"),
        (["digits", "--set", "monitor.share=1"], "monitor.share"),
        (["digits", "--set", "sampler.steps=0"], "steps"),
        (["digits", "--set", "model.width=5"], "width"),
    ],
)
def test_bad_studies_are_refused(tmp_path: Path, words: list[str], told: str) -> None:
    refused("study", *words, "--out", tmp_path / "out", told=told)
    assert not (tmp_path / "out").exists()


def test_bad_folders_are_refused(tiny: Path, tmp_path: Path) -> None:
    refused("report", tmp_path / "missing", told="missing")
    file = tmp_path / "file"
    file.write_text("precious")
    refused("study", tiny, "--out", file, told="file")
    refused("study", tiny, "--out", file / "below", told="--out")
    assert file.read_text() == "precious"
    if os.geteuid() != 0:
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o500)
        refused("study", tiny, "--out", closed / "out", told="--out")
    elif Path("/proc").exists():
        refused("study", tiny, "--out", "/proc/ecotone", told="--out")


def test_bad_data_are_refused(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()

    def study(**population: object) -> Path:
        return write_study(tmp_path, population=population)

    out = tmp_path / "out"
    for index, size in enumerate([(8, 8), (8, 8), (9, 8)]):
        Image.new("L", size, index).save(images / f"{index}.png")
    refused("study", study(kind="folder", path=str(images)), "--out", out, told="2.png")
    (images / "2.png").write_text("not an image")
    refused("study", study(kind="folder", path=str(images)), "--out", out, told="2.png")
    values = np.zeros((20, 1, 4, 4), dtype=np.float32)
    values[3, 0, 1, 2] = np.nan
    np.save(tmp_path / "values.npy", values)
    path = str(tmp_path / "values.npy")
    refused("study", study(kind="arrays", path=path), "--out", out, told="values.npy")
    np.save(tmp_path / "objects.npy", np.array([{}, {}]), allow_pickle=True)
    path = str(tmp_path / "objects.npy")
    refused("study", study(kind="arrays", path=path), "--out", out, told="objects.npy")
    assert not out.exists()


def test_a_truncated_table_is_named(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("study", tiny, "--out", out).returncode == 0
    table = out / "results.parquet"
    table.write_bytes(table.read_bytes()[:200])
    refused("report", out, told="results.parquet")
    assert run("study", tiny, "--out", out).returncode == 0
    assert run("report", out).returncode == 0
