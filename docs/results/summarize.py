"""Tables and figures of a study, small enough to be kept beside its text.

    python docs/results/summarize.py STUDY_FOLDER --out docs/results/NAME

Writes ``study.yaml`` (the design, versions and machine), ``onsets.csv`` (when every run turned, on
every clock), ``effects.csv`` (what moves the onset of copying), ``stopping.csv`` (what an early
stop would have cost), ``curves.csv`` (some measures by step, mean over seeds), ``onsets.svg`` and
``curves.svg``. The same study gives the same files.

Of several study folders it writes ``effects.csv``, their factors side by side, all fitted at once,
``onsets.csv``, and ``onsets.svg`` where few factors vary. A training that several of them hold
counts once.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import polars as pl
import yaml
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ecotone.core.records import canonical_json, read_json
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

TURNED = ["onset", "status", "value", "low", "high", "bound"]
MOST_PANELS = 4


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
    """Write when the runs of all studies turned, and what moves the onset of copying.

    Runs that differ in nothing but their length are one training, seen for longer or shorter: the
    longest of them stands for all.
    """
    longest: dict[str, tuple[int, list[dict], dict]] = {}
    for study in studies:
        results, runs = read_tables(study)
        keys = [*factors(results), "seed"]
        turned = onsets(results, runs).join(runs.select(*keys, "run"), on=keys, nulls_equal=True)
        for run in runs.iter_rows(named=True):
            config = read_json(study / "runs" / run["run"] / "config.json")
            named = described(config) | {"model.parameters": run["parameters"], "seed": run["seed"]}
            own = turned.filter(run=run["run"])
            if own.is_empty() or run["steps"] <= longest.get(same(config), (0, [], {}))[0]:
                continue
            told = {name: run[name] for name in ("status", "batch_size", "images")}
            rows = [named | row for row in own.select(TURNED).iter_rows(named=True)]
            longest[same(config)] = run["steps"], rows, named | told
    found = [longest[key] for key in sorted(longest)]
    turned = pl.DataFrame([row for _, rows, _ in found for row in rows], infer_schema_length=None)
    runs = pl.DataFrame([row for *_, row in found])
    out.mkdir(parents=True, exist_ok=True)
    lead = ("n", "model.kind", "model.parameters", "training.batch_size", "training.learning_rate")
    effects(turned, runs, factors=lead).write_csv(out / "effects.csv", float_precision=6)
    names = [name for name in lead if turned[name].n_unique() > 1]
    kept = turned.select(*names, "seed", *TURNED).sort(*names, "seed", "onset")
    kept.write_csv(out / "onsets.csv", float_precision=6)
    if names and turned.select(names[1:]).n_unique() <= MOST_PANELS:
        draw_onsets(turned, names, out / "onsets.svg")


def same(config: dict) -> str:
    """Return what a run's training is, apart from how long and how often it was measured."""
    training = {
        name: value
        for name, value in config["training"].items()
        if name not in {"steps", "checkpoint_every"}
    }
    return canonical_json({**config, "training": training, "monitor": None, "sampler": None})


def described(config: dict) -> dict:
    """Return a run's data, architecture and optimization, in every study's terms."""
    training = {
        f"training.{name}": config["training"][name] for name in ("batch_size", "learning_rate")
    }
    return {"n": config["n"], "model.kind": config["model"]["kind"], **training}


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
    names = varying(runs)
    draw_onsets(turned, names, out / "onsets.svg")
    draw_curves(curves, names, out / "curves.svg")


def varying(runs: pl.DataFrame) -> list[str]:
    """Return the factors with two levels or more, n first; n where there are none."""
    names = [name for name in factors(runs) if name != "status" and runs[name].n_unique() > 1]
    return sorted(names, key=lambda name: name != "n") or ["n"]


def mean_curves(results: pl.DataFrame) -> pl.DataFrame:
    """Return the mean over seeds of the measures worth a curve."""
    keys = [*factors(results), "step", "measure"]
    return (
        results.filter(pl.col("measure").is_in(list(CURVES)))
        .group_by(keys)
        .agg(pl.col("value").mean(), seeds=pl.len())
        .sort(keys)
    )


def draw_onsets(turned: pl.DataFrame, names: list[str], path: Path) -> None:
    """Draw both onsets of every run against the factor of most levels, a panel a level of the rest.

    Triangles: known only to be later, or earlier, than this.
    """
    axis = max(names, key=lambda name: turned[name].n_unique())
    others = [name for name in names if name != axis]
    panels = turned.select(others).unique().sort(others).rows(named=True) if others else [{}]
    figure = Figure(figsize=(1.2 + 3.4 * len(panels), 3.6), layout="constrained")
    for axes, panel in zip(
        figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels, strict=True
    ):
        levels = turned[axis].unique().sort().to_list()
        draw_panel(axes, turned.filter(**panel) if panel else turned, axis, levels)
        named = [f"{name.rpartition('.')[2]} = {level}" for name, level in panel.items()]
        axes.set_title("\n".join(named), fontsize="medium")
    figure.axes[0].set_ylabel("training steps at onset")
    figure.axes[0].legend(frameon=False, fontsize="small")
    save(figure, path)


def draw_panel(axes: Axes, turned: pl.DataFrame, axis: str, levels: list) -> None:
    """Draw both onsets against a factor, whose levels are those of all panels."""
    numeric = turned[axis].dtype.is_numeric()
    for name, colour in (("tau_gen", "#2a7f62"), ("tau_mem", "#b5452c")):
        for row in turned.filter(onset=name).iter_rows(named=True):
            x = row[axis] if numeric else levels.index(row[axis])
            if row["value"] is None:
                marker = "^" if row["status"] == "right_censored" else "v"
                axes.plot(x, row["bound"], marker=marker, color=colour, fillstyle="none")
                continue
            ends = [row["low"] or row["value"], row["high"] or row["value"]]
            axes.plot([x, x], ends, color=colour, alpha=0.5)
            axes.plot(x, row["value"], marker="o", color=colour, markersize=4)
        axes.plot([], [], marker="o", color=colour, linestyle="", label=name)
    for marker, label in (("^", "later"), ("v", "earlier")):
        axes.plot([], [], marker=marker, color="grey", fillstyle="none", ls="", label=label)
    axes.set(yscale="log", xlabel=axis)
    if numeric:
        axes.set_xscale("log")
        axes.set_xticks(levels, [f"{level:g}" for level in levels])
        axes.set_xlim(levels[0] / 1.3, 1.3 * levels[-1])
        axes.xaxis.minorticks_off()
    else:
        axes.set_xticks(range(len(levels)), levels)
    axes.margins(x=0.1)


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
