"""One HTML page that says what a study or an audit found, and needs nothing else to be read."""

from __future__ import annotations

from pathlib import Path

__all__ = ["build"]


def build(folder: Path) -> Path:
    """Write the report of a study or an audit into its folder.

    Args:
        folder: what a study wrote: ``study.json``, ``results.parquet``, ``runs.parquet``, and,
            where there are any, ``references.parquet`` and the runs' galleries; of a linear
            study, ``replicates.parquet``. ``study.json`` says which kind of study it is. Or what
            an audit wrote: ``audit.json``, ``training.csv``, ``generated.csv`` and, of images,
            ``gallery.safetensors``.

    Returns:
        ``folder/report.html``: below 5 MB, opens offline, asks the network for nothing. The same
        folder gives the same bytes.

    Raises:
        RecordError: where a file is missing or harmed (it is named), or there is no reading yet.

    >>> build(Path("no-such-folder"))
    Traceback (most recent call last):
        ...
    ecotone.core.errors.RecordError: there is no study folder no-such-folder; name a folder ...
    """
    # Drawing imports matplotlib, which the rest of the program does without.
    from ecotone.report.page import build_page

    return build_page(folder)
