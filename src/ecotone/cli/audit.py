"""``ecotone audit``: are these samples copies of that training set?"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = ["INTERRUPTED", "audit"]

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it, and where the time given is up."""


def audit(
    generated: Annotated[
        str,
        typer.Argument(
            help="Samples: a folder of images, .npy, .npz, .safetensors, parquet, or a diffusers "
            "pipeline, which is sampled."
        ),
    ],
    training: Annotated[
        str,
        typer.Option(
            help="What the generator was trained on: a folder of images, .npy, .npz, .safetensors "
            "or parquet; PATH#PART for one part or key of several."
        ),
    ],
    holdout: Annotated[
        str | None,
        typer.Option(
            help="Images of the same kind that it was not trained on. Without, halves of the "
            "training set stand in, which says less."
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            help="What distances are measured in: pixels, or an encoder such as "
            "transformers:FOLDER or onnx:FILE."
        ),
    ] = None,
    groups: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="What holds items together, such as patients: a column, a key of an .npz, or "
            "'folder'.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the report; ecotone-audit unless given.")
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print the record as JSON; write files only with --out."),
    ] = False,
    mirrored: Annotated[
        bool | None,
        typer.Option(
            "--mirrored/--not-mirrored",
            help="Whether an image and its mirror image count as the same; they do, unless told, "
            "where distances are those of pixels.",
        ),
    ] = None,
    approximate: Annotated[
        bool,
        typer.Option(
            "--approximate", help="Find neighbours by an index (extra faiss), and tell its recall."
        ),
    ] = False,
    size: Annotated[
        int | None, typer.Option(min=1, help="Side in pixels to bring all images to.")
    ] = None,
    layout: Annotated[
        Literal["auto", "nchw", "nhwc", "nhw", "raw"],
        typer.Option(help="What the axes of arrays mean."),
    ] = "auto",
    share: Annotated[
        float, typer.Option(help="Share of copies that the audit is to be able to see.")
    ] = 0.05,
    level: Annotated[float, typer.Option(help="Chance of any false finding.")] = 0.05,
    samples: Annotated[int, typer.Option(help="Samples to draw from a pipeline.")] = 500,
    download: Annotated[
        bool, typer.Option("--download", help="Allow a pipeline or encoder from the hub.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is drawn by chance.")] = 0,
) -> None:
    """Say whether samples are copies of a training set, how sure that is, and which images leak.

    Exit code: 0 no evidence of copying, 1 copies found, 2 wrong usage, 3 too few to tell, 4 the
    generator overfits without verbatim copies.
    """
    from ecotone.auditing import audit as run_audit
    from ecotone.cli.stages import stages

    try:
        with stages() as told:
            found = run_audit(
                generated=generated,
                training=training,
                holdout=holdout,
                features=features,
                groups=groups,
                mirrored=mirrored,
                approximate=approximate,
                size=size,
                layout=layout,
                share=share,
                level=level,
                samples=samples,
                download=download,
                seed=seed,
                told=told,
            )
    except KeyboardInterrupt:
        # Otherwise it ends as if copies had been found.
        typer.echo("Interrupted", err=True)
        sys.exit(INTERRUPTED)
    if not as_json:
        typer.echo(found.sentence)
        for caveat in found.record.caveats:
            typer.echo(f"- {caveat}")
    else:
        typer.echo(json.dumps(found.record.model_dump(mode="json"), indent=2, sort_keys=True))
    if out is not None or not as_json:
        from ecotone.report import build

        page = build(found.write(out or Path("ecotone-audit")))
        typer.echo(f"Report: {page}", err=as_json)
    sys.exit(found.exit_code)
