"""The command line: ``ecotone audit``, ``study``, ``report``, ``export`` and ``list``."""

from __future__ import annotations

import signal
import sys
import traceback
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from ecotone import __version__
from ecotone.cli.audit import INTERRUPTED, audit
from ecotone.core.errors import EcotoneError, RecordError

__all__ = ["app", "main"]

app = typer.Typer(
    name="ecotone",
    help="Find where a diffusion model stops copying its training set and starts to generalize.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

DEFECT = 70
"""Exit code where ecotone itself is wrong, as sysexits.h has it: an audit's verdict can be 1."""


def main() -> None:
    """Run the command line; what a user can mend is one line and exit code 2."""
    try:
        app()
    except EcotoneError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except MemoryError:
        typer.echo("error: out of memory; give fewer or smaller images", err=True)
        sys.exit(2)
    except Exception:
        typer.echo(traceback.format_exc(), err=True)
        typer.echo("This is a defect of ecotone: please report it with the lines above.", err=True)
        sys.exit(DEFECT)


def _version(asked: bool) -> bool:
    if asked:
        typer.echo(f"ecotone {__version__}")
        raise typer.Exit
    return asked


app.command()(audit)


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command()
def study(
    name_or_file: Annotated[
        str, typer.Argument(help="A ready-made study (see `ecotone list`) or a YAML file.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the study; ecotone-runs/NAME unless given."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a field, e.g. --set training.steps=500; a list makes it a factor, "
            "e.g. --set n=[32,64]. May be repeated.",
        ),
    ] = None,
    scale: Annotated[
        str | None,
        typer.Option(help="Size of a study that has several, such as small or paper; the first."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Runs side by side; as many as the cores allow unless given."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0, help="Save every run and stop after so many; the same command goes on."
        ),
    ] = None,
) -> None:
    """Carry out a study, or what is left of it, and write its report.

    It first says how long that will take. Ctrl-C, or --minutes, saves every run; the same command
    goes on.
    """
    # The terminal's way of ending a job saves the runs as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    from ecotone.cli.progress import TimeUp, until, watch
    from ecotone.studies import StudyFolder, load_design, measuring_share, run_study

    settings = settings or []
    design = load_design(name_or_file, settings, scale=scale)
    folder = out or Path("ecotone-runs") / (f"{design.name}-{scale}" if scale else design.name)
    if StudyFolder(folder, design).replaces_another_design():
        told = (
            "holds this study in another design: its runs stay, its tables and report are replaced"
        )
        typer.echo(f"{folder} {told}", err=True)
    try:
        with closing(run_study(design, folder, workers=workers, estimate=True)) as events:
            runs, ends = watch(design, until(events, minutes))
    except (KeyboardInterrupt, TimeUp) as end:
        words = ["ecotone", "study", name_or_file, "--out", str(folder)]
        words += [word for setting in settings for word in ("--set", setting)]
        words += [] if scale is None else ["--scale", scale]
        words += [] if workers is None else ["--workers", str(workers)]
        words += [] if minutes is None else ["--minutes", f"{minutes:g}"]
        why = "Time is up" if isinstance(end, TimeUp) else "Interrupted"
        typer.echo(f"\n{why}; every run is saved. Go on with:\n  {_shell(words)}", err=True)
        sys.exit(INTERRUPTED)
    for run, event in ends.items():
        told = {
            "failed": f"failed at {event.detail}",
            "crashed": f"broke off ({event.detail}); the same command tries it again",
        }
        typer.echo(f"run {run} {told[event.kind]}", err=True)
    if share := measuring_share(folder, runs):
        typer.echo(f"Sampling and measuring took {share:.0%} of the runs' time.")
    try:
        _write_report(folder)
    except RecordError:
        if not ends:
            raise
        typer.echo("no run was measured, so there is no report", err=True)
    if ends:
        sys.exit(1)


@app.command()
def report(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder of a study or an audit.")
    ],
) -> None:
    """Write DIR/report.html from the records of a study or an audit."""
    _write_report(folder)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run: DIR/runs/NAME.")],
    out: Annotated[Path, typer.Option(help="Folder to write the diffusers pipeline to.")],
    safe: Annotated[
        bool,
        typer.Option(
            "--safe", help="The last weights before copying was seen (monitor.stop=onset)."
        ),
    ] = False,
) -> None:
    """Write a run's averaged weights as a pipeline that diffusers loads."""
    from ecotone.studies.export import export_run

    export_run(run, out, safe=safe)
    typer.echo(f"Pipeline: {out} (diffusers.DDPMPipeline.from_pretrained)")


@app.command("list")
def list_() -> None:
    """List the ready-made studies and what a study can be made of."""
    from ecotone.denoisers import MODELS
    from ecotone.denoisers.linear import LINEAR
    from ecotone.features import FEATURES
    from ecotone.measures import MEASURES
    from ecotone.populations import POPULATIONS
    from ecotone.populations.planted import TRANSFORMS
    from ecotone.samplers import SAMPLERS
    from ecotone.studies import load_design, preset_names

    typer.echo("Studies (ecotone study NAME):")
    width = max(map(len, preset_names()))
    for name in preset_names():
        header = load_design(name).header
        scales = f" (--scale {'|'.join(header.scales)})" if header.scales else ""
        typer.echo(f"  {name:<{width}}  {header.title}{scales}")
    for title, registry in (
        ("Populations (population.kind)", POPULATIONS),
        ("Models (model.kind)", MODELS),
        ("Linear models (model.kind, where experiment is linear)", LINEAR),
        ("Samplers (sampler.kind)", SAMPLERS),
        ("Feature spaces (monitor.features.kind)", FEATURES),
        ("Measures (monitor.measures)", MEASURES),
        ("Changes to copies (transforms, where experiment is planted)", TRANSFORMS),
    ):
        typer.echo(f"{title}: {', '.join(registry)}")


def _write_report(folder: Path) -> None:
    from ecotone.report import build

    page = build(folder)
    typer.echo(f"Report: {page}")


def _shell(words: list[str]) -> str:
    import shlex

    return shlex.join(words)
