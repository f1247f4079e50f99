from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from ecotone.core import EcotoneError
from ecotone.core.seeds import derive
from ecotone.features.pca import PrincipalComponents
from ecotone.features.pixels import Pixels
from ecotone.measures import Evidence, Reference, nearest
from ecotone.measures.detectors import DETECTORS
from ecotone.measures.mirrored import mirrored_nearest
from ecotone.populations import POPULATIONS, plant_copies
from ecotone.populations.planted import TRANSFORMS
from ecotone.studies import load_design, preset_names, run_study
from ecotone.studies.planted_config import NULL, PlantedConfig
from ecotone.studies.planted_pool import PooledEvidence, choose
from ecotone.studies.planted_replicate import planted_sets, ranking, replicate
from ecotone.studies.planted_tables import calibrated_p_values

PLANTED: dict[str, Any] = {
    "name": "copies",
    "experiment": "planted",
    "population": {"kind": "digits"},
    "n": 40,
    "holdout": 50,
    "generated": [20, 30],
    "shares": [0.1, 0.4],
    "transforms": ["exact", {"kind": "noise", "sigma": 0.3}],
    "features": {"kind": "pca", "components": 3},
    "replicates": 13,
}
TABLES = ("results.parquet", "replicates.parquet", "runs.parquet")
BY_OWN_TEST = ["gap_ratio", "distance_quantile", "closest_record", "membership"]


def write(folder: Path, **changes: object) -> str:
    path = folder / "copies.yaml"
    path.write_text(yaml.safe_dump({**PLANTED, **changes}, sort_keys=False))
    return str(path)


def carry_out(study: str, out: Path, *settings: str, workers: int = 0) -> list[str]:
    return [event.kind for event in run_study(load_design(study, settings), out, workers=workers)]


def tables(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in TABLES}


def config(**changes: object) -> PlantedConfig:
    record = {k: v for k, v in PLANTED.items() if k not in ("name", "experiment")}
    return PlantedConfig.model_validate({**record, **changes}).completed()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copies")
    carry_out(write(folder, detectors=BY_OWN_TEST), folder / "out")
    return folder / "out"


def test_the_tables_are_tidy(undisturbed: Path) -> None:
    results = pl.read_parquet(undisturbed / "results.parquet")
    keys = ["n", "holdout", "generated", "transform", "share", "copies", "detector", "measure"]
    assert results.columns == [*keys, "value", "low", "high", "samples"]
    assert not results.select(keys).is_duplicated().any()
    assert set(results["samples"].to_list()) == {13}
    assert set(results["transform"].to_list()) == {"none", "exact", "noise sigma=0.3"}
    null = results.filter(share=0.0)
    assert set(null["measure"].to_list()) == {"false_positive_rate"}
    assert set(null["transform"].to_list()) == {NULL}
    copies = results.filter(pl.col("share") > 0).select("generated", "share", "copies").unique()
    assert copies.sort("copies").rows() == [(20, 0.1, 2), (30, 0.1, 3), (20, 0.4, 8), (30, 0.4, 12)]
    powers = results.filter(measure="detected", share=0.4)
    assert set(powers["detector"].to_list()) == set(BY_OWN_TEST)
    assert powers.height == len(BY_OWN_TEST) * 2 * 2
    # 13 replicates cannot say what one in 20 reaches.
    assert "detected_calibrated" not in results["measure"].to_list()
    auc = results.filter(measure="auc", transform="exact")
    assert set(auc["detector"].to_list()) >= {"distance", "gap_ratio"}
    assert auc["value"].min() == 1.0
    raw = pl.read_parquet(undisturbed / "replicates.parquet")
    statistics = raw.filter(measure="statistic", detector="membership")
    assert statistics.height == 13 * 2 * (1 + 2 * 2)
    assert raw["value"].is_finite().all()
    runs = pl.read_parquet(undisturbed / "runs.parquet")
    assert runs.select("first", "replicates", "status").rows() == [
        (0, 10, "finished"),
        (10, 3, "finished"),
    ]


def test_tables_follow_from_replicates(undisturbed: Path) -> None:
    results = pl.read_parquet(undisturbed / "results.parquet")
    raw = pl.read_parquet(undisturbed / "replicates.parquet")
    where = {"generated": 30, "detector": "distance_quantile"}
    for transform, share, measure in (
        ("exact", 0.4, "detected"),
        (NULL, 0.0, "false_positive_rate"),
    ):
        place = {**where, "transform": transform, "share": share}
        told = results.filter(**place, measure=measure)["value"].item()
        p_values = raw.filter(**place, measure="p_value")["value"]
        assert told == (p_values <= 0.05).mean()


def test_stopped_and_gone_on_gives_the_same_bytes(undisturbed: Path, tmp_path: Path) -> None:
    study, out = write(tmp_path, detectors=BY_OWN_TEST), tmp_path / "out"
    done = 0
    for event in (events := run_study(load_design(study), out, workers=1)):
        done += event.kind == "step"
        if done == 4:
            events.close()
    values = [json.loads(path.read_text()) for path in out.glob("runs/*/replicates.json")]
    assert 4 <= sum(map(len, values)) < 13
    assert carry_out(study, out).count("finished") == 2
    assert tables(out) == tables(undisturbed)
    assert carry_out(study, out) == ["already"] * 2
    victim = min(out.glob("runs/*/replicates.json"))
    victim.write_text(victim.read_text()[:100])
    kinds = carry_out(study, out)
    assert (kinds.count("already"), kinds.count("finished")) == (1, 1)
    assert tables(out) == tables(undisturbed)


def test_a_replicate_does_not_depend_on_how_many_there_are(
    undisturbed: Path, tmp_path: Path
) -> None:
    study = write(tmp_path, detectors=BY_OWN_TEST)
    carry_out(study, tmp_path / "out", "replicates=2")
    few = pl.read_parquet(tmp_path / "out" / "replicates.parquet")
    many = pl.read_parquet(undisturbed / "replicates.parquet")
    assert few.equals(many.filter(pl.col("replicate") < 2))


def test_sets_are_planted_as_plant_copies_plants_them() -> None:
    whole = config(transforms=list(TRANSFORMS))
    digits = POPULATIONS.create("digits", {})
    training, holdout, pool, judged = planted_sets(whole, digits, seed=5)
    assert (len(training), len(holdout)) == (40, 50)
    fresh = pool[:30]
    together = torch.cat([training, holdout, fresh]).flatten(1)
    assert len(together.unique(dim=0)) == 120
    for one in judged:
        if one.transform == NULL:
            assert torch.equal(pool[one.chosen], fresh[: one.generated])
            continue
        planted = plant_copies(
            generated=fresh[: one.generated],
            training=training,
            share=one.share,
            seed=derive(5, "plant"),
            transform=one.transform,
            value_range=(-1.0, 1.0),
        )
        assert torch.equal(pool[one.chosen], planted.images)
        assert one.copies == len(planted.rows)
    assert len(judged) == 2 * (1 + len(list(TRANSFORMS)) * 2)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_replicate_says_what_each_set_alone_would_say(mirrored: bool) -> None:
    """Everything shared between sets is the same as if it were had for each."""
    whole = config(mirrored=mirrored)
    search = mirrored_nearest if mirrored else nearest
    digits = POPULATIONS.create("digits", {})
    found = replicate(whole, digits, 2)
    seed = derive(whole.seed, "planted", 2)
    training, holdout, pool, judged = planted_sets(whole, digits, seed)
    reference = Reference(training=training, holdout=holdout, listed=51, search=search)
    for one, told in zip(judged, found, strict=True):
        images = pool[one.chosen]
        evidence = Evidence(
            generated=images,
            training=training,
            holdout=holdout,
            neighbours=reference.neighbours(images),
            features=PrincipalComponents(components=3).fit(holdout),
            denoiser=None,
            sigma_data=float(training.double().std()),
            seed=derive(seed, "evidence"),
            search=search,
        )
        for name, detector in DETECTORS.items():
            detection = detector(evidence)
            alone = None if detection is None else [detection.statistic, detection.p_value]
            assert told["detections"].get(name) == alone, name


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 50), st.integers(1, 6))
def test_pooled_neighbours_are_those_of_the_set(seed: int, listed: int) -> None:
    random = np.random.default_rng(seed)
    training, holdout, pool = (
        torch.from_numpy(random.normal(size=(n, 2)).astype(np.float32)) for n in (7, 5, 12)
    )
    rows = torch.from_numpy(random.permutation(12)[:4])
    reference = Reference(training=training, holdout=holdout)
    alone = Evidence(
        generated=pool[rows],
        training=training,
        holdout=holdout,
        neighbours=reference.neighbours(pool[rows]),
        features=Pixels(),
        denoiser=None,
        sigma_data=1.0,
        seed=0,
    )
    shared = PooledEvidence(
        **{**vars(alone), "neighbours": choose(reference.neighbours(pool), rows)},
        chosen=rows,
        pooled=(nearest(training, pool, listed), nearest(holdout, pool, listed)),
    )
    for ours, theirs in zip(shared.to_generated, alone.to_generated, strict=True):
        assert ours is not None
        assert theirs is not None
        assert torch.equal(ours.distances, theirs.distances)
        assert torch.equal(ours.indices, theirs.indices)
    for name in ("distance", "index", "distinct_distance", "distinct_index"):
        ours, theirs = (getattr(e.neighbours.generated, name) for e in (shared, alone))
        assert torch.equal(ours, theirs)


@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30),
    st.booleans(),
)
def test_ranking_agrees_with_scikit_learn(images: list[tuple[int, bool]], infinite: bool) -> None:
    scores = torch.tensor([float(score) for score, _ in images], dtype=torch.float64)
    planted = torch.tensor([truth for _, truth in images])
    told = ranking(scores.where(scores < 5, torch.inf) if infinite else scores, planted)
    if planted.all() or not planted.any():
        assert told is None
        return
    truth, lower = planted.numpy(), -scores.numpy()
    expected = roc_auc_score(truth, lower), average_precision_score(truth, lower)
    assert told == pytest.approx(expected)


def test_images_without_a_score_have_no_ranking() -> None:
    scores = torch.tensor([0.0, float("nan")], dtype=torch.float64)
    assert ranking(scores, torch.tensor([True, False])) is None


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=12), st.integers(0, 99))
def test_calibrated_p_values_count_the_others(null: list[float], seed: int) -> None:
    random = np.random.default_rng(seed)
    known = dict(enumerate(null))
    found = {index: float(random.normal()) for index in known if random.random() < 0.8}
    for (index, statistic), p in zip(found.items(), calibrated_p_values(found, known), strict=True):
        others = [value for other, value in known.items() if other != index]
        assert p == (1 + sum(value >= statistic for value in others)) / len(null)


def test_calibration_calls_one_in_twenty_of_what_has_no_copies() -> None:
    random = np.random.default_rng(0)
    null = dict(enumerate(random.normal(size=2000)))
    again = dict(enumerate(random.normal(size=2000)))
    assert (calibrated_p_values(again, null) <= 0.05).mean() == pytest.approx(0.05, abs=0.015)


def test_distances_in_another_space(tmp_path: Path) -> None:
    space = {"kind": "pca", "components": 2}
    study = write(tmp_path, distance=space, detectors=["distance_quantile"], replicates=1)
    carry_out(study, tmp_path / "pca")
    carry_out(study, tmp_path / "pixels", "distance=pixels")
    few, all_of_them = (
        pl.read_parquet(tmp_path / out / "results.parquet").filter(
            measure="auc", transform="noise sigma=0.3", share=0.4, generated=30
        )
        for out in ("pca", "pixels")
    )
    # Two components do not tell a noisy copy from another image as all pixels do.
    assert few["value"].mean() < all_of_them["value"].mean()  # type: ignore[operator]


def test_factors_are_columns(tmp_path: Path) -> None:
    study = write(tmp_path, detectors=["gap_ratio"], replicates=1, shares=[0.5], generated=8)
    carry_out(study, tmp_path / "out", "n=[10,20]", "transforms=exact")
    results = pl.read_parquet(tmp_path / "out" / "results.parquet")
    assert results["n"].unique().sort().to_list() == [10, 20]
    assert set(results["transform"].to_list()) == {NULL, "exact"}


def test_vectors_can_be_planted(tmp_path: Path) -> None:
    study = write(
        tmp_path,
        population={"kind": "gaussian", "dimension": 4},
        transforms=["exact", "blend", "tone"],
        replicates=1,
    )
    carry_out(study, tmp_path / "out")
    results = pl.read_parquet(tmp_path / "out" / "results.parquet")
    assert set(results["detector"].to_list()) >= set(BY_OWN_TEST)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["shares=[0.01]"], r"0.01 of 20 generated images is no copy.*generated to 51"),
        (["shares=[0]"], "shares holds 0"),
        (["shares=[0.5,1.2]"], "shares holds 1.2"),
        (["shares=[]"], "one of them is empty"),
        (["generated=[]"], "one of them is empty"),
        (["shares=[0.1,0.11]"], "0.1 and 0.11 of 20 generated images are the same number"),
        (["transforms=[]"], "transforms is empty"),
        (["transforms=[exact,exact]"], "the same one twice"),
        (["transforms=[exakt]"], r"unknown transform 'exakt'.*exact"),
        (["transforms=[{kind: jpeg, quality: 0}]"], "quality = 0"),
        (["transforms=[{kind: jpeg, qality: 5}]"], "unknown option 'qality'.*quality"),
        (["detectors=[gap_ration]"], "unknown detector 'gap_ration'.*gap_ratio"),
        (["distance=pixel"], "unknown feature space 'pixel'.*pixels"),
        (["n=1"], "n = 1"),
        (["n=1745"], "n = 1745 is larger than the data"),
        (["level=1"], "level = 1"),
        (["seeds=[0,1]"], "a planted study repeats by replicates"),
        (["first=3"], "first in .* is set by the study"),
        (["population={kind: gaussian, dimension: 4}", "transforms=[flip]"], "no images to flip"),
        (["population={kind: gaussian, dimension: 4}", "mirrored=true"], "no left and right"),
        (["mirrored=true", "distance=pca"], "between pixels only"),
        (["originals=10"], "unknown key 'originals'"),
    ],
)
def test_bad_input_says_what_to_do(settings: list[str], told: str, tmp_path: Path) -> None:
    study, out = write(tmp_path), tmp_path / "out"
    with pytest.raises(EcotoneError, match=f"(?s){told}"):
        carry_out(study, out, *settings)
    assert not out.exists()


def test_defaults_are_written_out() -> None:
    whole = config(transforms=[{"kind": "jpeg", "quality": 75}, {"kind": "jpeg", "quality": 30}])
    assert list(whole.labels) == ["jpeg", "jpeg quality=30"]
    assert whole.detectors == tuple(DETECTORS)
    assert whole.completed() == whole
    short = config(transforms=["jpeg", {"kind": "jpeg", "quality": 30}])
    assert short.identity("data") == whole.identity("data")
    assert config(detectors=["gap_ratio"]).identity("data") != config().identity("data")


def test_the_ready_made_study_can_be_had() -> None:
    assert "planted-copies" in preset_names()
    for scale, population in (("digits", "digits"), ("cifar10", "cifar10")):
        cells = load_design("planted-copies", scale=scale).cells
        blocks = [cell.config for cell in cells]
        assert {block.population.kind for block in blocks} == {population}
        assert sum(block.length for block in blocks) >= 20
        assert all(isinstance(b, PlantedConfig) and len(b.labels) == 8 for b in blocks)


def test_results_are_tabulated_the_same_each_time(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    script = Path(__file__).parents[2] / "docs" / "results" / "planted.py"
    told = []
    for name in ("once", "twice"):
        monkeypatch.setattr(sys, "argv", [str(script), str(undisturbed), str(tmp_path / name)])
        runpy.run_path(str(script), run_name="__main__")
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]
    assert told[0].count("\n") == 2 + len(BY_OWN_TEST)
    files = sorted(path.name for path in (tmp_path / "once").iterdir())
    assert files == ["false-positives.csv", "ranking.csv", "smallest.csv", "study.yaml"]
    for name in files:
        assert (tmp_path / "once" / name).read_bytes() == (tmp_path / "twice" / name).read_bytes()
