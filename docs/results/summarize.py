"""Tables and figures of a study, small enough to be kept beside its text.

    python docs/results/summarize.py STUDY_FOLDER --out docs/results/NAME

Writes ``study.yaml`` (the design, versions and machine), ``onsets.csv`` (when every run turned, on
every clock), ``effects.csv`` (what moves the onset of copying), ``stopping.csv`` (what an early
stop would have cost), ``curves.csv`` (some measures by step, mean over seeds), ``onsets.svg`` and
``curves.svg``. The same study gives the same files.

Of several study folders it writes ``effects.csv`` alone: their factors side by side, all fitted at
once, a run that several of them hold counted once.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import polars as pl
import yaml
from matplotlib.figure import Figure

from ecotone.core.records import read_json
from ecotone.laws import effects, onsets, stopping, windows
from ecotone.laws.tables import factors

CURVES = {
    "copied_share_gap_ratio": "copied share (gap ratio)",
    "novelty": "novelty",
    "frechet_holdout": "Fréchet distance to holdout",
    "agreement_halves": "agreement of twins",
    "denoising_loss_holdout": "validation loss",
    "memorizer_excess": "excess over the exact memorizer",
}


FACTOR_TYPES = {
    "run": pl.String,
    "n": pl.Int64,
    "model.kind": pl.String,
    "training.batch_size": pl.Int64,
    "training.learning_rate": pl.Float64,
}


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    if len(arguments.studies) == 1:
        summarize(arguments.studies[0], arguments.out)
    else:
        together(arguments.studies, arguments.out)


def together(studies: list[Path], out: Path) -> None:
    """Write what moves the onset of copying, over the runs of all studies."""
    found: dict[str, list[pl.DataFrame]] = {"onsets": [], "runs": []}
    seen: set[str] = set()
    for study in studies:
        results, runs = read_tables(study)
        keys = [*factors(results), "seed"]
        turned = onsets(results, runs).join(runs.select(*keys, "run"), on=keys, nulls_equal=True)
        # The same run has the same name in every study.
        runs = runs.filter(~pl.col("run").is_in(seen))
        seen |= set(runs["run"])
        named = described(study, runs["run"].to_list())
        drop = [name for name in keys if name != "seed"]
        found["runs"].append(runs.drop(drop).join(named, on="run"))
        found["onsets"].append(turned.drop(drop).join(named, on="run").drop("run"))
    tables = [pl.concat(parts, how="diagonal_relaxed") for parts in found.values()]
    out.mkdir(parents=True, exist_ok=True)
    of = ["n", "parameters", *(name for name in FACTOR_TYPES if name not in {"run", "n"})]
    effects(*tables, factors=of).write_csv(out / "effects.csv", float_precision=6)


def described(study: Path, runs: list[str]) -> pl.DataFrame:
    """Return data, architecture and optimization of runs, in every study's terms."""
    records = []
    for run in runs:
        config = read_json(study / "runs" / run / "config.json")
        training = {name: config["training"][name] for name in ("batch_size", "learning_rate")}
        records.append((run, config["n"], config["model"]["kind"], *training.values()))
    return pl.DataFrame(records, schema=FACTOR_TYPES, orient="row")


def read_tables(study: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return a study's results and runs."""
    results, runs = (pl.read_parquet(study / f"{name}.parquet") for name in ("results", "runs"))
    return results, runs


def summarize(study: Path, out: Path) -> None:
    """Write the files of one study."""
    out.mkdir(parents=True, exist_ok=True)
    about = read_json(study / "study.json")
    results, runs = read_tables(study)
    turned = onsets(results, runs)
    kept = {key: about[key] for key in ("name", "title", "scale", "design", "versions", "machine")}
    (out / "study.yaml").write_text(yaml.safe_dump(kept, sort_keys=False, allow_unicode=True))
    curves = mean_curves(results)
    tables = {
        "onsets": windows(turned, runs),
        "effects": effects(turned, runs),
        "stopping": stopping(results, runs),
        "curves": curves,
    }
    for name, table in tables.items():
        table.write_csv(out / f"{name}.csv", float_precision=6)
    axis, *others = varying(runs)
    draw_onsets(turned, axis, others, out / "onsets.svg")
    draw_curves(curves, [axis, *others], out / "curves.svg")


def varying(runs: pl.DataFrame) -> list[str]:
    """Return the factors with two levels or more, n first."""
    names = [name for name in factors(runs) if name != "status" and runs[name].n_unique() > 1]
    return sorted(names, key=lambda name: name != "n")


def mean_curves(results: pl.DataFrame) -> pl.DataFrame:
    """Return the mean over seeds of the measures worth a curve."""
    keys = [*factors(results), "step", "measure"]
    return (
        results.filter(pl.col("measure").is_in(list(CURVES)))
        .group_by(keys)
        .agg(pl.col("value").mean(), seeds=pl.len())
        .sort(keys)
    )


def draw_onsets(turned: pl.DataFrame, axis: str, others: list[str], path: Path) -> None:
    """Draw both onsets of every run against a factor; arrows: later than this."""
    figure = Figure(figsize=(5.2, 3.8), layout="constrained")
    axes = figure.subplots()
    numeric = turned[axis].dtype.is_numeric()
    levels = turned[axis].unique().sort().to_list()
    for name, colour in (("tau_gen", "#2a7f62"), ("tau_mem", "#b5452c")):
        own = turned.filter(onset=name)
        for row in own.iter_rows(named=True):
            x = row[axis] if numeric else levels.index(row[axis])
            if row["value"] is None:
                axes.plot(x, row["bound"], marker="^", color=colour, fillstyle="none")
                continue
            ends = [row["low"] or row["value"], row["high"] or row["value"]]
            axes.plot([x, x], ends, color=colour, alpha=0.5)
            axes.plot(x, row["value"], marker="o", color=colour, markersize=4)
        axes.plot([], [], marker="o", color=colour, linestyle="", label=name)
    axes.plot([], [], marker="^", color="grey", fillstyle="none", linestyle="", label="later")
    if numeric:
        axes.set_xscale("log")
        axes.set_xticks(levels, [f"{level:g}" for level in levels])
        axes.minorticks_off()
    else:
        axes.set_xticks(range(len(levels)), levels)
    axes.set(yscale="log", xlabel=axis, ylabel="training steps at onset")
    axes.set_title(", ".join(["all seeds", *(f"all levels of {name}" for name in others)]))
    axes.legend(frameon=False)
    save(figure, path)


def draw_curves(curves: pl.DataFrame, names: list[str], path: Path) -> None:
    """Draw the measures by step, one line a combination of levels."""
    present = [name for name in CURVES if name in set(curves["measure"])]
    figure = Figure(figsize=(10, 3.1 * -(-len(present) // 3)), layout="constrained")
    grid = figure.subplots(-(-len(present) // 3), 3, squeeze=False).ravel()
    shades = mpl.colormaps["viridis"]
    lines = curves.select(names).unique().sort(names).rows()
    for axes, measure in zip(grid, present, strict=False):
        for index, levels in enumerate(lines):
            own = curves.filter(measure=measure, **dict(zip(names, levels, strict=True))).sort(
                "step"
            )
            label = ", ".join(str(level) for level in levels)
            shade = shades(0.9 * index / max(1, len(lines) - 1))
            axes.plot(own["step"], own["value"], color=shade, label=label, linewidth=1.3)
        axes.set(xscale="log", xlabel="training steps", title=CURVES[measure])
        if measure in {"frechet_holdout", "memorizer_excess"}:
            axes.set_yscale("log")
    for axes in grid[len(present) :]:
        axes.set_visible(False)
    grid[0].legend(title=", ".join(names), frameon=False, fontsize="small")
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write a figure, the same bytes each time."""
    with mpl.rc_context({"svg.hashsalt": "ecotone", "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
