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
from command_line import Run, refused
from tiny_study import write_study


def test_help_needs_no_torch(run: Run) -> None:
    script = "import sys, ecotone.cli; sys.exit('torch' in sys.modules or 'polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
    assert "study" in run("--help").out
    assert run("--version").out == f"ecotone {ecotone.__version__}\n"


def test_list_names_what_there_is(run: Run) -> None:
    listed = run("list").out
    for name in (
        "digits",
        "onset-linear",
        "gaussian",
        "unet",
        "one_step",
        "heun",
        "copying",
        "pca",
    ):
        assert name in listed
    assert "(--scale small|paper)" in listed


def test_a_scale_of_a_linear_study_ends_in_a_report(run: Run, tmp_path: Path) -> None:
    study = tmp_path / "line.yaml"
    study.write_text(
        "{name: line, experiment: linear, population: gaussian, model: one_step, dimension: 3,"
        " n: [2, 6, 12], originals: 40, scales: {small: {replicates: 4}, large: {replicates: 9}}}"
    )
    out = tmp_path / "out"
    told = run("study", study, "--scale", "large", "--out", out, "--workers", 1)
    assert f"Report: {out / 'report.html'}" in told.out
    assert "replicates 0 to 8" not in told.err  # one block needs no telling apart
    assert set(pl.read_parquet(out / "results.parquet")["samples"].to_list()) == {9}
    refused(run("study", study, "--scale", "larg", "--out", out), "unknown scale 'larg'")


def test_a_study_ends_in_a_report(run: Run, tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ended = run("study", tiny, "--out", out, "--workers", "1", "--set", "n=[4,8,6]")
    assert ended.code == 0, ended.err
    assert "3/3 runs" in ended.err
    assert (out / "report.html").stat().st_size > 10_000
    assert pl.read_parquet(out / "results.parquet")["n"].unique().sort().to_list() == [4, 6, 8]
    (out / "report.html").unlink()
    assert run("report", out).code == 0
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


def test_when_its_minutes_are_over_a_study_saves_and_goes_on(
    run: Run, tiny: Path, tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run("study", tiny, "--out", whole, "--workers", 1).code == 0
    words = ("study", tiny, "--out", parts, "--workers", 1)
    ended = run(*words, "--minutes", 0)
    assert ended.code == 130
    assert "Time is up" in ended.err
    assert f"ecotone study {tiny} --out {parts} --workers 1 --minutes 0" in ended.err
    assert run(*words, "--minutes", 10).code == 0
    for name in ("results.parquet", "runs.parquet"):
        assert (parts / name).read_bytes() == (whole / name).read_bytes()


def test_a_study_says_how_long_it_will_take(run: Run, tiny: Path, tmp_path: Path) -> None:
    told = run("study", tiny, "--out", tmp_path / "out", "--workers", 2).err
    assert "About 1 minute for 2 runs, 2 at a time; a step takes 0." in told
    assert "About" not in run("study", tiny, "--out", tmp_path / "out").err


def test_a_trained_unet_leaves_as_a_pipeline(run: Run, tmp_path: Path) -> None:
    model = {"kind": "unet", "width": 8, "prediction": "epsilon"}
    training = {"steps": 12, "batch_size": 8, "warmup_steps": 2}
    monitor = {"samples": 6, "share": 0.6, "first": 4, "measures": ["copying"]}
    study = write_study(
        tmp_path, factors={"n": [8]}, model=model, training=training, monitor=monitor
    )
    assert run("study", study, "--out", tmp_path / "out", "--workers", 1).code == 0
    folder = next((tmp_path / "out" / "runs").iterdir())
    assert run("export", folder, "--out", tmp_path / "pipeline").code == 0

    from diffusers.pipelines.ddpm.pipeline_ddpm import DDPMPipeline

    pipeline = DDPMPipeline.from_pretrained(tmp_path / "pipeline")
    pipeline.set_progress_bar_config(disable=True)
    (images,) = pipeline(batch_size=2, num_inference_steps=2, output_type="np", return_dict=False)
    assert images.shape == (2, 8, 8, 1)
    assert np.isfinite(images).all()
    run("--version")  # what diffusers wrote is read with it
    refused(run("export", folder, "--out", tmp_path / "pipeline"), "pipeline")
    refused(run("export", folder, "--out", tmp_path / "other", "--safe"), "monitor.stop=onset")
    refused(run("export", tmp_path, "--out", tmp_path / "other"), "no run's folder")


def test_a_model_that_no_pipeline_can_hold_is_refused(run: Run, tiny: Path, tmp_path: Path) -> None:
    assert run("study", tiny, "--out", tmp_path / "out", "--workers", 1).code == 0
    folder = next((tmp_path / "out" / "runs").iterdir())
    refused(run("export", folder, "--out", tmp_path / "pipeline"), "model")
    assert not (tmp_path / "pipeline").exists()


def test_a_study_with_a_failed_run_says_so(run: Run, tmp_path: Path) -> None:
    study = write_study(tmp_path, factors={"training.learning_rate": [1e30, 1e-3]}, n=8)
    ended = run("study", study, "--out", tmp_path / "out")
    assert ended.code == 1
    assert "failed at step" in ended.err
    assert (tmp_path / "out" / "report.html").exists()


def test_a_study_of_which_nothing_was_measured_says_why(run: Run, tmp_path: Path) -> None:
    study = write_study(tmp_path, training={"steps": 20, "learning_rate": 1e30, "warmup_steps": 0})
    for _ in range(2):
        ended = run("study", study, "--out", tmp_path / "out")
        assert ended.code == 1
        assert ended.err.count("failed at step 2") == 2
        assert "no report" in ended.err


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
        (["digits", "--set", "twin_of=previous"], "even number of seeds"),
        (["digits", "--set", "monitor.features=transformers"], "model"),
        (["cifar10-size", "--set", "population.path=no-such-folder"], "no-such-folder"),
    ],
)
def test_bad_studies_are_refused(run: Run, tmp_path: Path, words: list[str], told: str) -> None:
    refused(run("study", *words, "--out", tmp_path / "out"), told)
    assert not (tmp_path / "out").exists()


def test_bad_folders_are_refused(run: Run, tiny: Path, tmp_path: Path) -> None:
    refused(run("report", tmp_path / "missing"), "missing")
    file = tmp_path / "file"
    file.write_text("precious")
    refused(run("study", tiny, "--out", file), "file")
    refused(run("study", tiny, "--out", file / "below"), "--out")
    assert file.read_text() == "precious"
    if os.geteuid() != 0:
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o500)
        refused(run("study", tiny, "--out", closed / "out"), "--out")
    elif Path("/proc").exists():
        refused(run("study", tiny, "--out", "/proc/ecotone"), "--out")


def test_bad_data_are_refused(run: Run, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()

    def study(**population: object) -> Path:
        return write_study(tmp_path, population=population)

    out = tmp_path / "out"
    for index, size in enumerate([(8, 8), (8, 8), (9, 8)]):
        Image.new("L", size, index).save(images / f"{index}.png")
    refused(run("study", study(kind="folder", path=str(images)), "--out", out), "2.png")
    (images / "2.png").write_text("not an image")
    refused(run("study", study(kind="folder", path=str(images)), "--out", out), "2.png")
    values = np.zeros((20, 1, 4, 4), dtype=np.float32)
    values[3, 0, 1, 2] = np.nan
    np.save(tmp_path / "values.npy", values)
    path = str(tmp_path / "values.npy")
    refused(run("study", study(kind="arrays", path=path), "--out", out), "values.npy")
    np.save(tmp_path / "objects.npy", np.array([{}, {}]), allow_pickle=True)
    path = str(tmp_path / "objects.npy")
    refused(run("study", study(kind="arrays", path=path), "--out", out), "objects.npy")
    assert not out.exists()


def test_a_truncated_table_is_named(run: Run, tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("study", tiny, "--out", out).code == 0
    table = out / "results.parquet"
    table.write_bytes(table.read_bytes()[:200])
    refused(run("report", out), "results.parquet")
    assert run("study", tiny, "--out", out).code == 0
    assert run("report", out).code == 0
