"""The positive control: which altered copies an audit's rules recognize, told, drawn and listed."""

from __future__ import annotations

from matplotlib.ticker import FuncFormatter

from ecotone.auditing.record import AuditRecord, ReadingRecord
from ecotone.report.audit_folder import AuditFolder
from ecotone.report.audit_measures import reading_cell
from ecotone.report.audit_ratios import standing
from ecotone.report.audit_tables import without_blanks
from ecotone.report.curves import Figure
from ecotone.report.svg import INK, MEMORIZING, Drawing
from ecotone.report.tables import Cell, Table
from ecotone.report.text import capital, clean, listed, percent, plain, shortened

__all__ = ["control_figure", "control_means", "control_table", "control_told"]

TRANSFORMS = {
    "exact": "no change",
    "jpeg": "JPEG",
    "noise": "noise",
    "tone": "another tone",
    "shift": "a shift",
    "crop": "a crop",
    "flip": "a flip",
    "blend": "a blend with others",
}
"""What was done to copies, by the names of :data:`ecotone.populations.planted.TRANSFORMS`."""

_SEEN, _BLIND = 0.9, 0.5
"""Shares of altered copies from which on nearly all, and some, are said to be recognized."""

_MORE = 0.1
"""Difference of two such shares that is told."""

_ROW = 26
"""Points of a drawing for each row of it."""


def control_told(folder: AuditFolder) -> str:
    """Return which alterations the audit's rules see through, and which not."""
    record = folder.record
    if not record.controls:
        return "No control could be made, as no copy can stand out."
    parts: dict[str, list[str]] = {"nearly all": [], "some": [], "few or none": []}
    more = []
    for one in record.controls:
        name, value = altered(one.transform), one.recognized.value
        share = "nearly all" if value >= _SEEN else "some" if value >= _BLIND else "few or none"
        parts[share].append(f"{name} ({percent(value)})")
        out = one.standing_out
        if value < _SEEN and out is not None and out.value >= max(_BLIND, value + _MORE):
            more.append(f"{name} ({percent(out.value)})")
    told = [f"{share} with {listed(names)}" for share, names in parts.items() if names]
    whole = (
        f"Training {folder.noun}, altered, were given to the audit as if they had been generated: "
        "what it says of them is how much it can see on these data. By the gap ratio it calls "
        f"copies {listed(told)}."
    )
    if more:
        whole += f" More of them at least stand out: with {listed(more)}."
    return whole


def control_means(folder: AuditFolder) -> str:
    """Return what verdicts can come of copies that are recognized, and of those that stand out."""
    record, noun = folder.record, folder.noun
    out = standing(folder)
    if out is None or all(one.standing_out is None for one in record.controls):
        return ""
    return (
        f"The verdict “copies found” takes {noun} that the gap ratio calls copies, more often than "
        "held-out ones. Those that only stand out, with a gap ratio as small as "
        f"{percent(out.rate)} of held-out {noun} have, can make the verdict “overfits”: the "
        "nearest real one is then a training one more often than chance has it."
    )


def control_figure(folder: AuditFolder) -> Figure | None:
    """Draw the shares of altered copies that are recognized; None without a control."""
    controls = folder.record.controls
    if not controls:
        return None
    drawing = Drawing(
        "controls",
        title="Altered copies that the gap ratio recognizes",
        description="For each alteration, the share of copies recognized with its 95 % interval, "
        "the share that stands out where there is a holdout, and the share whose nearest training "
        f"{folder.noun[:-1]} is the one that they were made of.",
        size=(460, 56 + _ROW * len(controls)),
        margins=(126, 42, 20, 8),
    )
    axes = drawing.axes
    names = [altered(one.transform).removeprefix("a ") for one in controls]
    places = list(range(len(controls) - 1, -1, -1))
    for y, name, one in zip(places, names, controls, strict=True):
        found, traced = one.recognized, one.traced
        axes.barh(y, found.value, height=0.56, color=MEMORIZING, alpha=0.35)
        if found.low is not None and found.high is not None:
            axes.hlines(y, found.low, found.high, color=MEMORIZING, linewidth=1.6)
        axes.plot(found.value, y, color=MEMORIZING, marker="o", markersize=5)
        axes.plot(traced.value, y, color=INK, marker="D", markersize=5, markerfacecolor="none")
        if one.standing_out is not None:
            axes.plot(
                one.standing_out.value,
                y,
                color=MEMORIZING,
                marker="o",
                markersize=9,
                markerfacecolor="none",
            )
            drawing.point(one.standing_out.value, y, f"{name}: {_said(one.standing_out)} stand out")
        drawing.point(found.value, y, f"{name}: {_said(found)} recognized as copies")
        drawing.point(traced.value, y, f"{name}: nearest is the original in {_said(traced)}")
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.6, len(controls) - 0.4)
    axes.set_yticks(places, [capital(shortened(name)) for name in names])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.0f} %"))
    axes.set_xlabel("share of copies")
    out = standing(folder)
    rings = ""
    if out is not None and any(one.standing_out is not None for one in controls):
        rings = f"Rings: share that stands out, as {percent(out.rate)} of held-out ones would. "
    return Figure(
        "What would have been recognized of altered copies",
        drawing.svg(),
        "Bars and dots: share that the gap ratio calls copies, with its 95 % interval. "
        f"{rings}Diamonds: share whose nearest training {folder.noun[:-1]} is the one that they "
        "were made of.",
    )


def control_table(record: AuditRecord) -> Table:
    """Return what the rule says of altered copies."""
    rows = tuple(
        (
            Cell(capital(altered(one.transform).removeprefix("a "))),
            reading_cell(one.recognized),
            reading_cell(one.standing_out),
            reading_cell(one.traced),
        )
        for one in record.controls
    )
    head = ("alteration", "called copies", "standing out", "nearest is the original")
    made = max((one.recognized.n for one in record.controls), default=0)
    caption = f"{made:,} copies altered in each way; 95 % intervals beneath the shares."
    return without_blanks(Table(caption, head, rows))


def altered(transform: str) -> str:
    """Return what was done to copies, as a sentence has it after “with”.

    >>> altered("flip"), altered("new_way")
    ('a flip', 'new way')
    """
    return TRANSFORMS.get(transform, clean(plain(transform)))


def _said(reading: ReadingRecord) -> str:
    if reading.low is None or reading.high is None:
        return percent(reading.value)
    return f"{percent(reading.value)} ({percent(reading.low)} to {percent(reading.high)})"
