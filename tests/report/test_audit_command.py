"""The command that an audit's page gives: taken literally, it asks for the same audit."""

from __future__ import annotations

import shlex
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

import ecotone.auditing
from audit_folder import AuditRecipe, write_audit_folder
from ecotone.cli import app
from ecotone.populations.source_items import printable
from ecotone.report.audit_command import again
from ecotone.report.audit_folder import AuditFolder, read_audit

DEFAULTS: dict[str, Any] = {
    "features": None,
    "groups": None,
    "mirrored": None,
    "approximate": False,
    "size": None,
    "layout": "auto",
    "samples": None,
    "download": False,
}
NAMES = ["samples", "/data/my samples", "it's here.npz#train", '$(rm "x") `y`', "-x", "a\\b", "ü*"]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"features": "onnx:my encoder.onnx", "size": 64},
    {"features": '{"kind": "pca", "components": 8}', "approximate": True},
    {"mirrored": False, "layout": "nhwc", "groups": "patient's id"},
    {"mirrored": True, "download": True, "groups": "-column"},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> AuditFolder:
    small = AuditRecipe(generated=20, training=30, copies=0, images=False)
    return read_audit(write_audit_folder(tmp_path_factory.mktemp("audit"), small))


def changed(
    folder: AuditFolder, names: dict[str, str], kind: str = "folder", **settings: Any
) -> AuditFolder:
    """Return an audit of sets so called, with these settings; sets in memory have no name."""
    sets = {
        role: held.model_copy(
            update={"name": printable(names[role]), "kind": kind}
            if role in names
            else {"name": "array of shape (9, 2)", "kind": "memory"}
        )
        for role, held in folder.record.sets.items()
    }
    record = folder.record.model_copy(update={"sets": sets, "settings": DEFAULTS | settings})
    return replace(folder, record=record)


def named(name: str) -> dict[str, str]:
    return {role: f"{name}{role}" for role in ("generated", "training", "holdout")}


class AskedError(Exception):
    """What an audit was asked for."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Type a command line, and return what the audit is asked for."""

    def audit(**given: Any) -> None:
        raise AskedError(given)

    monkeypatch.setattr(ecotone.auditing, "audit", audit, raising=False)

    def typed(line: str) -> dict[str, Any]:
        program, *words = shlex.split(line)
        assert program == "ecotone"
        found = CliRunner().invoke(app, words)
        assert isinstance(found.exception, AskedError), found.output
        return {name: value for name, value in found.exception.args[0].items() if name != "told"}

    return typed


def called(text: str) -> dict[str, Any]:
    """Return what a call in Python asks for; what stands in it without quotes is itself."""
    held: dict[str, Any] = {}
    space: dict[str, Any] = {
        name: SimpleNamespace(name=name)
        for name in ("generated", "training", "holdout", "features", "groups")
    }
    eval(text, {"ecotone": SimpleNamespace(audit=lambda **given: held.update(given)), **space})
    return held


@pytest.mark.parametrize("name", NAMES)
def test_paths_survive_a_shell(folder: AuditFolder, asked: Any, name: str) -> None:
    told = again(changed(folder, named(name)))
    assert not told.python
    given = asked(told.text)
    for role, path in named(name).items():
        assert given[role] in (path, f"./{path}")
    assert told.relative is not name.startswith("/")


@pytest.mark.parametrize("options", OPTIONS)
def test_options_are_those_that_were_given(
    folder: AuditFolder, asked: Any, options: dict[str, Any]
) -> None:
    told = again(changed(folder, named("s "), **options))
    assert not told.python
    given = asked(told.text)
    wanted = DEFAULTS | options | {"share": 0.05, "level": 0.05, "seed": 3}
    # Where no pipeline was sampled, how many samples are drawn changes nothing.
    assert {name: given[name] for name in wanted if name != "samples"} == {
        name: value for name, value in wanted.items() if name != "samples"
    }


@pytest.mark.parametrize("name", ["two\nlines", "\udcff", "\x1b[31m"])
def test_what_a_terminal_cannot_take_is_called_in_python(folder: AuditFolder, name: str) -> None:
    told = again(changed(folder, named(name), size=32))
    assert told.python
    given = called(told.text)
    assert {role: given[role] for role in named(name)} == named(name)
    assert given["size"] == 32


def test_sets_in_memory_go_by_their_role(folder: AuditFolder) -> None:
    told = again(changed(folder, {"training": "a train", "holdout": "held"}, groups="patient"))
    assert told.python
    given = called(told.text)
    assert given["generated"].name == "generated"
    assert (given["training"], given["holdout"], given["groups"]) == ("a train", "held", "patient")
    assert (given["share"], given["level"], given["seed"]) == (0.05, 0.05, 3)


def test_features_and_groups_without_a_name_are_asked_for(folder: AuditFolder) -> None:
    held = changed(folder, named("s"))
    features = {"distances": "callable"}
    held = replace(held, record=held.record.model_copy(update={"features": features}))
    held = replace(held, training=held.training.with_columns(group=pl.lit("a")))
    given = called(again(held).text)
    assert (given["features"].name, given["groups"].name) == ("features", "groups")


def test_a_pipeline_is_named(folder: AuditFolder, asked: Any) -> None:
    sets = {"training": "train", "holdout": "held"}
    held = changed(folder, sets, samples=70)
    record = held.record
    for called_it, path in (
        ("owner/name", "owner/name"),
        ("my models/ddpm", "my models/ddpm"),
        ("DDPMPipeline", None),
    ):
        drawn = record.sets["generated"].model_copy(
            update={"name": f"samples of the pipeline {called_it}"}
        )
        new = record.model_copy(update={"sets": {**record.sets, "generated": drawn}})
        told = again(replace(held, record=new))
        if path is None:
            assert called(told.text)["generated"].name == "generated"
            assert called(told.text)["samples"] == 70
        else:
            assert (asked(told.text)["generated"], asked(told.text)["samples"]) == (path, 70)


def test_without_a_holdout_none_is_asked_for(folder: AuditFolder, asked: Any) -> None:
    sets = {role: held for role, held in folder.record.sets.items() if role != "holdout"}
    record = folder.record.model_copy(update={"sets": sets})
    told = again(changed(replace(folder, record=record), named("s")))
    assert asked(told.text)["holdout"] is None
