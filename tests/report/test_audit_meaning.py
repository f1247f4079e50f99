"""What a verdict is said to mean, in each outcome, and how much leaks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audit_folder import SENTENCES, AuditRecipe, Outcome, write_audit_folder
from ecotone.report.audit_folder import AuditFolder, read_audit
from ecotone.report.audit_leaks import leak_figure, leaks_told, total_known
from ecotone.report.audit_meaning import meaning, terms
from ecotone.report.audit_numbers import key_numbers
from ecotone.report.svg import drawing_style


@pytest.fixture(scope="module")
def audits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, AuditFolder]:
    root = tmp_path_factory.mktemp("audits")
    small = AuditRecipe(generated=60, training=100)
    recipes = {
        "copies": small,
        "none": replace(small, outcome="none", copies=0),
        "one copy": replace(small, outcome="none", copies=1),
        "verbatim": replace(small, outcome="none", copies=2, verbatim=1),
        "halves": replace(small, outcome="too_few", holdout=False, copies=2, verbatim=2),
        "table": replace(small, outcome="none", images=False, copies=3, verbatim=3),
    }
    return {
        name: read_audit(write_audit_folder(root / name, recipe))
        for name, recipe in recipes.items()
    }


def told(folder: AuditFolder, **changes: Any) -> str:
    record = folder.record.model_copy(update=changes)
    return " ".join(meaning(replace(folder, record=record)))


@pytest.mark.parametrize("outcome", list(SENTENCES))
def test_every_outcome_has_a_meaning(audits: dict[str, AuditFolder], outcome: Outcome) -> None:
    words = told(audits["none"], outcome=outcome)
    assert len(words.split()) > 25
    assert "  " not in words
    others = {told(audits["none"], outcome=one) for one in SENTENCES if one != outcome}
    assert words not in others


def test_the_rule_is_told_and_what_it_is_held_against(audits: dict[str, AuditFolder]) -> None:
    words = told(audits["copies"])
    assert "less than a third as far from one training image" in words
    assert "Held-out images, which the generator never saw" in words
    assert "Without a holdout, either half" in told(audits["halves"], outcome="copies")


def test_no_evidence_says_what_may_have_been_missed(audits: dict[str, AuditFolder]) -> None:
    assert "no proof that none is a copy. Copies that are fewer than 4.1 % of what" in told(
        audits["none"]
    )
    few = told(audits["none"], outcome="too_few", seen_share=None)
    assert "Even if all generated images were copies, that may have been missed." in few
    assert "A holdout helps most" not in few
    assert "A holdout helps most" in told(audits["halves"])


def test_copies_that_no_test_finds_are_told_all_the_same(audits: dict[str, AuditFolder]) -> None:
    assert "1 of 60 generated images is a copy by the gap ratio" in told(audits["one copy"])
    verbatim = told(audits["verbatim"])
    assert "Yet 1 generated image equals a training image or its mirror image" in verbatim
    both = told(audits["halves"])
    assert "Yet 2 generated images equal a training image or its mirror image each, value" in both
    plain = told(audits["verbatim"], features={"distances": "pixels", "mirrored": False})
    assert "mirror image" not in plain
    # Numbers may be equal by chance: equality is no more than a copy by the rule.
    assert "3 of 60 generated items are copies by the gap ratio" in told(audits["table"])
    for name in ("none", "copies"):
        assert "Yet" not in told(audits[name])
        assert "by the gap ratio" not in told(audits[name])


def test_terms_are_of_what_is_there(audits: dict[str, AuditFolder]) -> None:
    assert dict(terms(audits["none"])).keys() - dict(terms(audits["halves"])).keys() == {
        "Held-out, holdout"
    }
    assert all("image" not in meant for _, meant in terms(audits["table"]))


def test_single_copies_say_nothing_of_how_many_there_are(
    audits: dict[str, AuditFolder], tmp_path: Path
) -> None:
    """What was copied once only fits any number of images to be copied, however large."""
    folder = audits["copies"]
    leaks = folder.record.leaks
    assert leaks is not None
    assert leaks.copies > leaks.unique
    assert total_known(leaks)
    assert "in the end at least" in leaks_told(folder).lower()
    single = leaks.model_copy(update={"copies": leaks.unique})
    changed = replace(folder, record=folder.record.model_copy(update={"leaks": single}))
    assert not total_known(single)
    assert "no telling how many would leak in the end" in leaks_told(changed)
    with drawing_style():
        figure = leak_figure(changed)
    assert figure is not None
    assert "In the end" not in figure.caption
    assert "in the end" not in " ".join(one.beside for one in key_numbers(changed))


@pytest.mark.parametrize(("name", "told"), [("one copy", "1 copy among 60 generated images is of")])
def test_few_copies_are_told_without_a_curve(
    audits: dict[str, AuditFolder], name: str, told: str
) -> None:
    words = leaks_told(audits[name])
    assert told in words
    assert "there would be" not in words
    with drawing_style():
        assert leak_figure(audits[name]) is None
