from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
import yaml

from ecotone.core import ConfigError, RecordError
from ecotone.populations import POPULATIONS
from ecotone.populations.exact import ExactPopulation
from ecotone.studies import load_design, run_study
from ecotone.studies.linear_config import BLOCK, LinearConfig
from ecotone.studies.linear_replicate import replicate

LINEAR = {
    "name": "line",
    "experiment": "linear",
    "factors": {"dimension": [3, 5]},
    "population": {"kind": "gaussian"},
    "ratios": [0.8, 2, 8],
    "originals": 60,
    "model": {"kind": "one_step"},
    "replicates": BLOCK + 3,
}
TABLES = ("results.parquet", "replicates.parquet", "runs.parquet")


def write(folder: Path, **changes: object) -> str:
    path = folder / "line.yaml"
    path.write_text(yaml.safe_dump({**LINEAR, **changes}, sort_keys=False))
    return str(path)


def carry_out(study: str, out: Path, *settings: str, workers: int = 0) -> list[str]:
    return [event.kind for event in run_study(load_design(study, settings), out, workers=workers)]


def tables(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in TABLES}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("line")
    carry_out(write(folder), folder / "out")
    return folder / "out"


def test_the_tables_are_tidy(undisturbed: Path) -> None:
    results = pl.read_parquet(undisturbed / "results.parquet")
    keys = ["dimension", "originals", "n", "variant", "measure"]
    assert results.columns == [*keys, "value", "low", "high", "samples"]
    assert not results.select(keys).is_duplicated().any()
    assert results["value"].is_finite().all()
    assert set(results["samples"].to_list()) == {BLOCK + 3}
    sizes = {d: results.filter(dimension=d)["n"].unique().sort().to_list() for d in (3, 5)}
    assert sizes == {3: [2, 6, 24], 5: [4, 10, 40]}
    shares = results.filter(pl.col("measure").str.starts_with("p_delta_positive"))
    assert set(shares["variant"].to_list()) == {"exact", "as_published"}
    assert shares["value"].is_between(0, 1).all()
    assert (shares["low"] <= shares["value"]).all()
    exact = set(results.filter(variant="exact", dimension=3, n=24)["measure"].to_list())
    assert {
        "p_delta_positive_null",
        "p_delta_positive_density",
        "affinity",
        "hellinger_squared",
        "kl_generated_population",
        "kl_population_generated",
        "wasserstein2_squared",
        "log_distance_training",
        "log_distance_original",
    } <= exact
    # Where n ≤ d what is generated has no density: the divergences are infinite and have no row.
    singular = results.filter(variant="exact", dimension=3, n=2)
    assert not singular["measure"].str.contains("kl_|log_distance").any()
    assert singular.filter(measure="affinity")["value"].to_list() == [0.0]
    raw = pl.read_parquet(undisturbed / "replicates.parquet")
    assert raw.filter(measure="delta_sign", variant="exact").height == 2 * 3 * (BLOCK + 3)
    runs = pl.read_parquet(undisturbed / "runs.parquet")
    assert runs.select("first", "replicates").rows() == [(0, BLOCK), (BLOCK, 3)] * 2
    about = json.loads((undisturbed / "study.json").read_text())
    assert about["experiment"] == "linear"
    assert [cell["factors"]["dimension"] for cell in about["cells"]] == [3, 5]
    assert about["cells"][0]["config"]["model"]["generalization"] == 1.0


def test_stopped_and_gone_on_gives_the_same_bytes(undisturbed: Path, tmp_path: Path) -> None:
    study, out = write(tmp_path), tmp_path / "out"
    done = 0
    for event in (events := run_study(load_design(study), out, workers=1)):
        done += event.kind == "step"
        if done == 12:
            events.close()
    values = [json.loads(path.read_text()) for path in out.glob("runs/*/replicates.json")]
    assert sum(map(len, values)) >= 12
    kinds = carry_out(study, out, workers=2)
    assert kinds.count("finished") == 4
    assert tables(out) == tables(undisturbed)
    assert carry_out(study, out) == ["already"] * 4


def test_a_harmed_block_alone_is_done_again(undisturbed: Path, tmp_path: Path) -> None:
    study, out = write(tmp_path), tmp_path / "out"
    carry_out(study, out)
    victim = min(out.glob("runs/*/replicates.json"))
    victim.write_text(victim.read_text()[:100])
    kinds = carry_out(study, out)
    assert (kinds.count("already"), kinds.count("finished")) == (3, 1)
    assert tables(out) == tables(undisturbed)


def test_a_size_does_not_depend_on_the_others(undisturbed: Path, tmp_path: Path) -> None:
    carry_out(write(tmp_path), tmp_path / "out", "n=[10]", "dimension=5")
    alone = pl.read_parquet(tmp_path / "out" / "replicates.parquet")
    all_sizes = pl.read_parquet(undisturbed / "replicates.parquet").filter(dimension=5, n=10)
    keys = ["replicate", "variant", "measure"]
    together = alone.join(all_sizes, on=keys, suffix="_among")
    assert together.height == alone.height == all_sizes.height
    error = (together["value"] - together["value_among"]).abs()
    assert (error <= 1e-9 * (1 + together["value"].abs())).all()


def test_fresh_originals_leave_the_fits_as_they_are(undisturbed: Path, tmp_path: Path) -> None:
    carry_out(write(tmp_path), tmp_path / "out", "fresh_originals=true")
    fresh = pl.read_parquet(tmp_path / "out" / "replicates.parquet")
    shared = pl.read_parquet(undisturbed / "replicates.parquet")
    for measure, same in (("affinity", True), ("log_overlap_original", False)):
        pair = [table.filter(measure=measure)["value"].to_list() for table in (fresh, shared)]
        assert (pair[0] == pair[1]) is same


@pytest.mark.parametrize(
    "population",
    [
        {"kind": "mixture", "components": 2, "separation": 3.0},
        {"kind": "low_rank", "intrinsic_dimension": 2},
        {"kind": "gaussian", "spectrum": 1.0, "mean": 10.0, "std": 0.01},
    ],
)
@pytest.mark.parametrize("model", ["one_step", "wiener"])
def test_every_exact_population_can_be_studied(
    population: dict, model: str, tmp_path: Path
) -> None:
    study = write(tmp_path, population=population, model={"kind": model}, replicates=3)
    carry_out(study, tmp_path / "out", "dimension=4")
    results = pl.read_parquet(tmp_path / "out" / "results.parquet")
    measures = set(results["measure"].to_list())
    assert {"p_delta_positive", "p_delta_positive_null", "kl_population_generated"} <= measures
    assert ("affinity" in measures) is (population["kind"] != "mixture")
    assert ("as_published" in results["variant"].to_list()) is (model == "one_step")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["ratios=[]", "n=1"], "n = 1 is too small.*set n to 2 or more"),
        (["originals=1"], "originals = 1 is too small"),
        (["ratios=[]"], "neither n nor ratios"),
        (["ratios=[0]"], "ratios holds 0"),
        (["population.std=-1"], "std"),
        (["population.covariance=[[1, 2], [2, 1]]", "dimension=2"], "not a covariance"),
        (["dimension=30000"], "its covariance alone takes"),
        (["originals=1000000000", "dimension=100"], "GB.*at most"),
        (["model.generalisation=2"], "unknown option 'generalisation'.*generalization"),
        (["model=quadratic"], "unknown linear model 'quadratic'"),
        (["population=digits"], "no known density"),
        (["seeds=[0, 1]"], "repeats by replicates"),
        (["replicates=0"], "replicates = 0"),
        (["population.dimension=7"], "population.dimension = 7"),
        (["holdout=10"], "unknown key 'holdout'"),
        (["experiment=training"], "cannot change 'experiment'"),
    ],
)
def test_bad_input_says_what_to_do(settings: list[str], told: str, tmp_path: Path) -> None:
    study, out = write(tmp_path), tmp_path / "out"
    with pytest.raises((ConfigError, RecordError), match=f"(?s){told}"):
        carry_out(study, out, *settings)
    assert not out.exists()


def test_scales_are_settings_applied_first(tmp_path: Path) -> None:
    study = write(
        tmp_path, scales={"small": {"replicates": 4}, "paper": {"replicates": 6, "dimension": [7]}}
    )
    assert load_design(study).cells[0].config.length == 4
    assert load_design(study).scale == "small"
    paper = load_design(study, ["replicates=5"], scale="paper")
    assert [(cell.factors["dimension"], cell.config.length) for cell in paper.cells] == [(7, 5)]
    with pytest.raises(ConfigError, match=r"unknown scale 'papre'.*paper"):
        load_design(study, scale="papre")
    with pytest.raises(ConfigError, match="has no scales"):
        load_design(write(tmp_path), scale="paper")
    with pytest.raises(ConfigError, match="is no mapping"):
        load_design(write(tmp_path, scales={"small": 3}))
    with pytest.raises(ConfigError, match=r"unknown experiment 'liner'.*linear"):
        load_design(write(tmp_path, experiment="liner"))


def test_blocks_are_told_apart(tmp_path: Path) -> None:
    cells = load_design(write(tmp_path)).cells
    assert [cell.config.part for cell in cells[:2]] == ["replicates 0 to 24", "replicates 25 to 27"]


@pytest.mark.parametrize(("std", "mean"), [(1e-3, 10.0), (1e3, 10.0)])
def test_scale_and_shift_change_nothing(std: float, mean: float, tmp_path: Path) -> None:
    def values(std: float, mean: float) -> dict:
        settings = [
            "dimension=12",
            "n=[6,12,18,40]",
            "originals=300",
            f"population.std={std}",
            f"population.mean={mean}",
            f"model.generalization={std**2}",
        ]
        config = load_design(write(tmp_path), settings).cells[0].config
        assert isinstance(config, LinearConfig)
        population = POPULATIONS.create(config.population.kind, config.population.options)
        assert isinstance(population, ExactPopulation)
        return replicate(config, population, 0)

    unit, other = values(1.0, 0.0), values(std, mean)
    for n in unit:
        # The published clip depends on the scale: that is one of its faults.
        assert unit[n]["exact"].keys() == other[n]["exact"].keys()
        for measure, value in unit[n]["exact"].items():
            scale = std**2 if measure == "wasserstein2_squared" else 1.0
            found = other[n]["exact"][measure] / scale
            assert found == pytest.approx(value, rel=1e-9, abs=1e-9), (n, measure)
