from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from ecotone.core import ConfigError, RecordError
from ecotone.studies import Event, load_design, run_study
from tiny_study import write_study

TABLES = ("results.parquet", "runs.parquet", "references.parquet")


def carry_out(study: Path, out: Path, *settings: str, workers: int = 0) -> list[Event]:
    return list(run_study(load_design(str(study), settings), out, workers=workers))


def tables(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in TABLES}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny study, carried out in one piece."""
    folder = tmp_path_factory.mktemp("undisturbed")
    carry_out(write_study(folder), folder / "out")
    return folder / "out"


def test_the_table_is_tidy(undisturbed: Path) -> None:
    results = pl.read_parquet(undisturbed / "results.parquet")
    assert results.columns == ["n", "seed", "step", "measure", "value", "low", "high", "samples"]
    assert results["n"].unique().sort().to_list() == [4, 8]
    assert not results.select("n", "seed", "step", "measure").is_duplicated().any()
    assert results["value"].is_finite().all()
    steps = results["step"].unique().sort().to_list()
    assert steps[-1] == 60
    assert steps[0] >= 10
    assert "copied_share_gap_ratio" in results["measure"].to_list()
    bounded = results.drop_nulls("low")
    assert (bounded["low"] <= bounded["value"] + 1e-9).all()
    assert (bounded["value"] <= bounded["high"] + 1e-9).all()
    runs = pl.read_parquet(undisturbed / "runs.parquet")
    assert runs["status"].to_list() == ["finished"] * 2
    references = pl.read_parquet(undisturbed / "references.parquet")
    copied = references.filter(
        (pl.col("reference") == "perfect_memorizer")
        & (pl.col("measure") == "copied_share_gap_ratio")
    )
    assert len(copied) == 2


def test_finished_runs_are_never_repeated(undisturbed: Path, tmp_path: Path) -> None:
    before = tables(undisturbed)
    stamps = {p: p.stat().st_mtime_ns for p in (undisturbed / "runs").rglob("*") if p.is_file()}
    events = carry_out(write_study(tmp_path), undisturbed)
    assert [event.kind for event in events] == ["already"] * 2
    assert stamps == {p: p.stat().st_mtime_ns for p in stamps}
    assert tables(undisturbed) == before


def test_workers_give_the_same_bytes(undisturbed: Path, tiny: Path, tmp_path: Path) -> None:
    events = carry_out(tiny, tmp_path / "out", workers=2)
    assert sorted(e.kind for e in events if e.kind in {"finished", "crashed"}) == ["finished"] * 2
    assert tables(tmp_path / "out") == tables(undisturbed)


def test_stopped_and_gone_on_gives_the_same_bytes(
    undisturbed: Path, tiny: Path, tmp_path: Path
) -> None:
    design, out = load_design(str(tiny)), tmp_path / "out"
    for event in (events := run_study(design, out, workers=1)):
        if event.kind == "step" and event.step > 20:
            events.close()  # what an interrupt comes to
            break
    assert (out / "results.parquet").exists()
    assert "unfinished" in pl.read_parquet(out / "runs.parquet")["status"].to_list()
    again = [e for e in run_study(design, out, workers=1) if e.kind == "started"]
    assert again[0].step > 20
    assert tables(out) == tables(undisturbed)


KILLED = """
import os, signal, sys
import ecotone.training.monitor as monitor
from pathlib import Path
from ecotone.studies import load_design, run_study

study, out, when, at = sys.argv[1:]

def end():
    os.kill(os.getpid(), signal.SIGKILL)

drawn = []
draw = monitor.sample
def sample(*arguments, **options):
    result = draw(*arguments, **options)
    drawn.append(1)
    if when == "measuring" and len(drawn) == int(at):
        end()
    return result
monitor.sample = sample
for event in run_study(load_design(study), Path(out), workers=0):
    if when == "training" and event.kind == "step" and event.step == int(at):
        end()
"""


def test_killed_twice_in_training_and_once_in_measuring(
    undisturbed: Path, tiny: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for when, at in (("training", 25), ("measuring", 2), ("training", 47)):
        ended = subprocess.run(
            [sys.executable, "-c", KILLED, str(tiny), str(out), when, str(at)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == -signal.SIGKILL, ended.stderr
    carry_out(tiny, out)
    assert tables(out) == tables(undisturbed)


def test_a_killed_study_takes_its_workers_along(
    undisturbed: Path, tiny: Path, tmp_path: Path
) -> None:
    """SIGKILL the command itself while two workers train; then start it again."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "ecotone.cli", "study", str(tiny), "--out", str(out)]
    command += ["--workers", "2"]
    for _ in range(2):
        study = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert study.stderr is not None
        for line in study.stderr:
            if ": step " in line:
                break
        workers = children(study.pid)
        study.send_signal(signal.SIGKILL)
        study.wait()
        study.stderr.close()
        assert workers
        deadline = time.monotonic() + 20
        while any(alive(worker) for worker in workers) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(alive(worker) for worker in workers)
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert tables(out) == tables(undisturbed)


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    if not listed.exists():
        pytest.skip("this system does not list a process's children")
    return [int(child) for child in listed.read_text().split()]


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.mark.parametrize(
    "name",
    [
        "checkpoint.safetensors",
        "config.json",
        "gallery.safetensors",
        "readings.json",
        "references.json",
        "run.json",
    ],
)
@pytest.mark.parametrize("harm", ["truncate", "remove", "change"])
def test_a_harmed_run_alone_is_redone(
    undisturbed: Path, tiny: Path, tmp_path: Path, name: str, harm: str
) -> None:
    out = tmp_path / "out"
    subprocess.run(["cp", "-a", undisturbed, out], check=True)
    harmed, kept = sorted((out / "runs").iterdir())
    stamps = {path: path.stat().st_mtime_ns for path in kept.iterdir()}
    target = harmed / name
    if harm == "truncate":
        target.write_bytes(target.read_bytes()[: target.stat().st_size // 2])
    elif harm == "change":
        whole = target.read_bytes()
        last = max(whole.rfind(digit) for digit in (b"1", b"2", b"3"))
        target.write_bytes(whole[:last] + b"4" + whole[last + 1 :])
    else:
        target.unlink()
    events = carry_out(tiny, out)
    assert {event.run: event.kind for event in events} == {
        harmed.name: "finished",
        kept.name: "already",
    }
    assert stamps == {path: path.stat().st_mtime_ns for path in kept.iterdir()}
    assert tables(out) == tables(undisturbed)


def test_truncated_tables_are_written_again(undisturbed: Path, tiny: Path) -> None:
    before = tables(undisturbed)
    path = undisturbed / "results.parquet"
    path.write_bytes(before["results.parquet"][:100])
    carry_out(tiny, undisturbed)
    assert tables(undisturbed) == before


def test_a_run_that_breaks_is_recorded_and_the_others_go_on(tmp_path: Path) -> None:
    study = write_study(tmp_path, factors={"training.learning_rate": [1e30, 1e-3]}, n=8)
    events = carry_out(study, tmp_path / "out")
    kinds = [event.kind for event in events if event.kind in {"failed", "finished"}]
    assert kinds == ["failed", "finished"]
    runs = pl.read_parquet(tmp_path / "out" / "runs.parquet")
    broken, whole = runs.to_dicts()
    assert broken["status"] == "failed"
    assert broken["failed_step"] == broken["steps"] + 1
    assert "loss" in broken["reason"]
    assert (whole["status"], whole["failed_step"]) == ("finished", None)
    again = carry_out(study, tmp_path / "out")
    assert [event.kind for event in again] == ["waiting", "failed", "already"]


def test_a_folder_holds_one_study(undisturbed: Path, tmp_path: Path) -> None:
    before = tables(undisturbed)
    with pytest.raises(RecordError, match=r"holds the runs of study 'tiny', not of 'other'.*--out"):
        carry_out(write_study(tmp_path, name="other"), undisturbed)
    assert tables(undisturbed) == before
    for name in ("results.parquet", "runs.parquet", "references.parquet", "report.html", "runs"):
        mine = tmp_path / f"mine {name}"
        mine.mkdir()
        (mine / name).write_text("precious")
        with pytest.raises(RecordError, match=r"--out"):
            carry_out(write_study(tmp_path), mine)
        assert (mine / name).read_text() == "precious"


@pytest.mark.parametrize("text", ["", "[]", '{"name": "ti'])
def test_a_harmed_study_record_is_written_again(undisturbed: Path, tiny: Path, text: str) -> None:
    record, before = undisturbed / "study.json", tables(undisturbed)
    whole = record.read_bytes()
    record.write_text(text)
    assert [event.kind for event in carry_out(tiny, undisturbed)] == ["already"] * 2
    assert record.read_bytes() == whole
    assert tables(undisturbed) == before


def test_a_device_that_is_not_there_is_refused(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"training\.device = cuda:99.*training\.device=cpu"):
        carry_out(tiny, tmp_path / "out", "training.device=cuda:99")


def test_one_process_at_a_time(tiny: Path, tmp_path: Path) -> None:
    design, out = load_design(str(tiny)), tmp_path / "out"
    events = run_study(design, out, workers=0)
    next(events)
    script = "import sys; from pathlib import Path; from ecotone.studies import *; "
    script += f"list(run_study(load_design({str(tiny)!r}), Path({str(out)!r}), workers=0))"
    other = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert "another process is running a study" in other.stderr
    events.close()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["n=5000"], "n = 5000.*maximum n = 1773"),
        (["holdout=1797"], "leaves 0"),
        (["holdout=1"], "holdout = 1"),
    ],
)
def test_data_that_cannot_be_had_is_refused_before_anything_is_written(
    tiny: Path, tmp_path: Path, settings: list[str], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        carry_out(tiny, tmp_path / "out", *settings)
    assert not (tmp_path / "out").exists()


def test_more_workers_than_cores_are_refused(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="exceed this machine's"):
        carry_out(tiny, tmp_path / "out", workers=10_000)


def test_a_worker_that_dies_does_not_take_the_study_along(tmp_path: Path) -> None:
    """One worker is killed; its run is told as broken off, and the next command finishes it."""
    study = write_study(tmp_path)
    out = tmp_path / "out"
    ends: dict[str, str] = {}
    victim = None
    for event in run_study(load_design(str(study)), out, workers=1):
        if event.kind == "step" and victim is None:
            victim = event.run
            (worker,) = children(os.getpid())
            os.kill(worker, signal.SIGKILL)
        if event.kind in {"finished", "crashed"}:
            ends[event.run] = event.kind
    assert victim is not None
    assert ends.pop(victim) == "crashed"
    assert list(ends.values()) == ["finished"]
    events = carry_out(study, out)
    assert [event.kind for event in events].count("finished") == 1


def test_records_say_what_was_done(undisturbed: Path) -> None:
    record = json.loads((undisturbed / "study.json").read_text())
    assert record["factors"] == {"n": [4, 8]}
    assert record["design"]["training"]["steps"] == 60
    assert set(record["versions"]) >= {"ecotone", "torch", "python"}
