from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ecotone.core import ConfigError
from ecotone.studies import Cell, RunConfig, load_design, preset_names
from tiny_study import TINY, write_study


def trained(cell: Cell) -> RunConfig:
    assert isinstance(cell.config, RunConfig)
    return cell.config


def test_cells_are_factors_times_seeds(tmp_path: Path) -> None:
    path = write_study(
        tmp_path, factors={"training.learning_rate": ["1e-3", 0.01], "n": [4, 8]}, seeds=[0, 1]
    )
    cells = load_design(str(path)).cells
    assert len(cells) == 8
    assert [cell.config.seed for cell in cells] == [0, 1] * 4
    assert cells[0].factors == {"training.learning_rate": 1e-3, "n": 4}
    assert trained(cells[-1]).training.learning_rate == 0.01
    assert len({cell.config.identity("data") for cell in cells}) == 8


def test_writing_out_a_default_names_the_same_run(tmp_path: Path) -> None:
    short = load_design(str(write_study(tmp_path))).cells[0].config
    long = load_design(
        str(tmp_path / "tiny.yaml"), ["monitor.features={kind: pca, components: 24}"]
    )
    assert long.cells[0].config.identity("data") == short.identity("data")
    assert short.identity("data") != short.identity("other data")


def test_settings_reach_every_field(tiny: Path) -> None:
    design = load_design(
        str(tiny),
        ["n=[16,32]", "training.steps=500", "model.width=[8, 16]", "seeds=[3]", "holdout=30"],
    )
    assert [dict(cell.factors) for cell in design.cells] == [
        {"n": n, "model.width": width} for n in (16, 32) for width in (8, 16)
    ]
    config = trained(design.cells[0])
    assert (config.training.steps, config.seed, config.holdout) == (500, 3, 30)
    one = load_design(str(tiny), ["n=5"]).cells
    assert [dict(cell.factors) for cell in one] == [{"n": 5}]
    fixed = load_design(str(tiny), ["factors={holdout: [24, 30]}", "n=5"]).cells
    assert [dict(cell.factors) for cell in fixed] == [{"holdout": h, "n": 5} for h in (24, 30)]


def test_the_design_reads_back_from_its_record(tiny: Path, tmp_path: Path) -> None:
    design = load_design(str(tiny), ["n=[16,32]", "training.steps=500"])
    again = tmp_path / "again.yaml"
    again.write_text(yaml.safe_dump(design.to_record()))
    assert load_design(str(again)).cells == design.cells


def test_a_list_is_a_value_where_the_field_takes_one(tmp_path: Path) -> None:
    path = str(write_study(tmp_path, population={"kind": "gaussian", "dimension": 2}))
    (first, _) = load_design(path, ["population.spectrum=[1, 0.5]"]).cells
    assert first.config.population.options["spectrum"] == [1, 0.5]
    levels = load_design(path, ["population.spectrum=[[1, 0.5], [2, 1]]", "n=[4]"]).cells
    assert [cell.factors["population.spectrum"] for cell in levels] == ["[1.0,0.5]", "[2.0,1.0]"]
    (one, _) = load_design(path, ["monitor.measures=[copying]"]).cells
    assert trained(one).monitor.measures == ("copying",)


def test_settings_reach_sections_left_to_their_defaults(tmp_path: Path) -> None:
    path = tmp_path / "short.yaml"
    path.write_text(yaml.safe_dump({key: TINY[key] for key in TINY if key != "sampler"}))
    design = load_design(
        str(path), ["sampler.steps=7", "monitor.features.components=[2, 3]", "n=4"]
    )
    assert [trained(cell).monitor.features.options["components"] for cell in design.cells] == [2, 3]
    assert trained(design.cells[0]).sampler.options["steps"] == 7
    assert trained(load_design(str(path), ["model=mlp"]).cells[0]).model.options["width"] == 128


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["trainign.steps=5"], "unknown key 'trainign.steps'.*did you mean 'training'"),
        (["training.stesp=5"], "unknown key 'training.stesp'.*did you mean 'steps'"),
        (["seed=1"], "did you mean 'seeds'"),
        (["training.steps=0"], "training.steps = 0.*greater than or equal to 1"),
        (["n=1"], "n = 1.*greater than or equal to 2"),
        (["n=many"], "n = 'many'.*integer"),
        (["n"], "--set key=value"),
        (["n=[4,4]"], "same run twice"),
        (["n=[]"], "no levels"),
        (["model.kind=unett"], "unknown model 'unett'.*did you mean 'unet'"),
        (["model.widht=4"], "'widht' of model 'mlp'.*did you mean 'width'"),
        (["population.kind=digit"], "did you mean 'digits'"),
        (["sampler.steps=[4, x]"], "'steps' = 'x'"),
        (["monitor.measures=[copyin]"], "did you mean 'copying'"),
        (["training=3"], "training = 3"),
        (["model={}"], "model.kind"),
        (["training.steps={a: 1}"], "training.steps = "),
        (["n=[4"], "YAML"),
        (["training.steps.more=1"], "training.steps"),
        (["name=a/b"], "name = 'a/b'"),
        (["title=2020-13-45"], "not a YAML value"),
        (["training.learning_rate=.inf"], "training.learning_rate = inf"),
        (["training.sigma_log_mean=.nan"], "training.sigma_log_mean = nan"),
        (["sampler.sigma_max=.inf"], "'sigma_max' = inf"),
        (["seeds=[99999999999999999999]"], "seed"),
        (["factors={seed: [1, 2]}"], r"factor 'seed'.*seeds: \[...\]"),
        (["factors=[n]"], "factors"),
    ],
)
def test_wrong_settings_are_named(tiny: Path, settings: list[str], told: str) -> None:
    with pytest.raises(ConfigError, match=f"(?s){told}"):
        assert load_design(str(tiny), settings).cells


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: x\npopulatoin: {kind: digits}\n", "did you mean 'population'"),
        ("- a\n- b\n", "not a mapping"),
        ("name: [\n", "not YAML"),
        ("name: x\n", "has no 'population'"),
        ("title: x\n", "has no 'name'"),
        ("name: x\nfactors: [n]\n", "no mapping"),
        ("name: x\nfactors:\n", "has no 'population'"),
    ],
)
def test_wrong_files_are_named(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=told) as error:
        assert load_design(str(path)).cells
    assert "study.yaml" in str(error.value)


def test_unknown_studies_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown study 'digit'; did you mean 'digits'"):
        load_design("digit")
    with pytest.raises(ConfigError, match=r"cannot read.*missing\.yaml"):
        load_design(str(tmp_path / "missing.yaml"))


@pytest.mark.parametrize("name", preset_names())
def test_ready_made_studies_are_whole(name: str) -> None:
    design = load_design(name)
    assert design.name == name
    assert design.cells
    assert design.header.title
    assert design.header.description


def test_levels_can_have_names(tmp_path: Path) -> None:
    models = {
        "narrow": {"kind": "mlp", "width": 8},
        "wide": {"kind": "mlp", "width": 32},
    }
    study = write_study(tmp_path, factors={"n": [4, 8], "model": models})
    cells = load_design(str(study)).cells
    assert [cell.factors for cell in cells[1:3]] == [
        {"n": 8, "model": "narrow"},
        {"n": 4, "model": "wide"},
    ]
    widths = [cell.config.model_dump()["model"]["width"] for cell in cells]
    assert widths == [8, 8, 32, 32]
    narrower = load_design(str(study), ["factors.model.wide.width=16"]).cells[-1]
    assert narrower.config.model_dump()["model"]["width"] == 16
    with pytest.raises(ConfigError, match=r"set factors\.model\.narrow\.width"):
        load_design(str(study), ["model.width=16"])
