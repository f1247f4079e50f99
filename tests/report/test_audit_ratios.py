"""Gap ratios drawn: the lines are the shares, and the thresholds those of the tests."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from audit_folder import AuditRecipe, write_audit_folder
from ecotone.report.audit_folder import AuditFolder, read_audit
from ecotone.report.audit_ratios import below_copies, ratio_figure, standing
from ecotone.report.svg import drawing_style

Tip = tuple[int, int, str, float]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> AuditFolder:
    return read_audit(write_audit_folder(tmp_path_factory.mktemp("audit")))


def with_ratios(
    folder: AuditFolder, generated: np.ndarray, holdout: np.ndarray | None
) -> AuditFolder:
    """Return an audit whose tables hold these gap ratios alone."""
    return replace(
        folder,
        generated=pl.DataFrame({"gap_ratio": generated}),
        holdout=None if holdout is None else pl.DataFrame({"gap_ratio": holdout}),
    )


def drawn(folder: AuditFolder) -> str:
    with drawing_style():
        figure = ratio_figure(folder)
    assert figure is not None
    return f"{figure.drawing} {figure.caption}"


def tips(drawing: str) -> list[Tip]:
    """Return what the points tell: how many of how many, of which images, up to which ratio."""
    pattern = r'aria-label="([\d,]+) of ([\d,]+) (generated|held-out) \w+ up to ([^:]+): '
    return [
        (int(k.replace(",", "")), int(n.replace(",", "")), who, float(at))
        for k, n, who, at in re.findall(pattern, drawing)
    ]


def test_lines_are_shares_of_the_tables(folder: AuditFolder) -> None:
    assert folder.holdout is not None
    known = {"generated": folder.generated, "held-out": folder.holdout}
    told = tips(drawn(folder))
    assert {who for _, _, who, _ in told} == set(known)
    for count, n, who, at in told:
        ratios = known[who]["gap_ratio"].to_numpy()
        assert n == len(ratios)
        # Told to three digits.
        assert (ratios < at - 1e-3).sum() <= count <= (ratios < at + 1e-3).sum()
    # Each line ends with all of its images.
    for who, table in known.items():
        assert max(count for count, _, one, _ in told if one == who) == table.height


def test_the_caption_counts_what_the_rule_calls_copies(folder: AuditFolder) -> None:
    copies, others = below_copies(folder.generated), below_copies(folder.holdout)
    assert copies[0] == folder.generated["copy"].sum() == 30
    told = f"Left of 1/3 lie copies: {copies[0]} of {copies[1]} generated images, and {others[0]} "
    assert f"{told}of {others[1]} held-out ones." in drawn(folder)


def test_what_stands_out_is_counted_against_the_holdout(folder: AuditFolder) -> None:
    theirs = np.linspace(0.5, 1.0, 200)
    ours = np.array([0.1, 0.2, 0.501, 0.502, 0.9])
    out = standing(with_ratios(folder, ours, theirs))
    assert out is not None
    # The second smallest of 200: ⌊0.01 · 201⌋ = 2.
    assert out.threshold == theirs[1]
    assert (out.count, out.n, out.rate) == (4, 5, pytest.approx(2 / 201))


def test_a_small_holdout_says_which_share_it_tells(folder: AuditFolder) -> None:
    """Of 24 images the smallest ratio is a quantile of 4 %, and is not called one of 1 %."""
    changed = with_ratios(folder, np.full(10, 0.9), np.linspace(0.6, 1.0, 24))
    drawing = drawn(changed)
    assert "4 % of held-out" in drawing
    assert "1 % of held-out" not in drawing


@pytest.mark.parametrize("generated", [1, 3, 50_000])
def test_few_and_many_are_drawn_small(folder: AuditFolder, generated: int) -> None:
    rng = np.random.default_rng(0)
    changed = with_ratios(folder, rng.uniform(0.01, 1, generated), rng.uniform(0.01, 1, 50_000))
    drawing = drawn(changed)
    assert len(drawing) < 60_000
    counts = [count for count, _, who, _ in tips(drawing) if who == "generated"]
    assert max(counts) == generated
    assert counts == sorted(counts)


def test_equal_ratios_are_one_step(folder: AuditFolder) -> None:
    told = tips(drawn(with_ratios(folder, np.zeros(70), np.full(90, 0.8))))
    assert told == [(70, 70, "generated", 0.0), (90, 90, "held-out", 0.8)]


def test_without_a_holdout_there_is_one_line(folder: AuditFolder) -> None:
    changed = with_ratios(folder, np.array([0.1, 0.8]), None)
    assert standing(changed) is None
    drawing = drawn(changed)
    assert {who for _, _, who, _ in tips(drawing)} == {"generated"}
    assert "held-out" not in drawing


def test_where_no_copy_can_stand_out_nothing_is_drawn(tmp_path: Path) -> None:
    small = AuditRecipe(generated=20, training=30, copies=0, images=False)
    held = read_audit(write_audit_folder(tmp_path, small))
    held = replace(held, generated=held.generated.drop("gap_ratio"))
    assert ratio_figure(held) is None
    assert standing(held) is None
