"""The parts of an audit: spaces, controls, tables of risk, caveats, schema."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import ecotone
from audited_digits import dealt
from ecotone.auditing import Audit, AuditRecord
from ecotone.auditing.space import parse_features, space_for
from ecotone.core.errors import ConfigError
from ecotone.features.user_encoder import UserEncoder
from ecotone.populations.image_transforms import Flip

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def sets() -> list[Tensor]:
    return dealt(5, 300, 300, 250)


@pytest.fixture(scope="module")
def honest(sets: list[Tensor]) -> Audit:
    training, holdout, fresh = sets
    return ecotone.audit(generated=fresh, training=training, holdout=holdout)


def test_components_are_fitted_to_both_sets_alike(sets: list[Tensor]) -> None:
    training, holdout, fresh = sets
    there = space_for(None, real=(training, holdout[:100]), value_range=(-1.0, 1.0))
    back = space_for(None, real=(holdout[:100], training), value_range=(-1.0, 1.0))
    assert there.about["images"] == 200
    ours, theirs = there.features(fresh), back.features(fresh)
    assert torch.allclose(torch.cdist(ours, ours), torch.cdist(theirs, theirs), atol=1e-6)


def test_eight_bits_and_floats_are_one_space(sets: list[Tensor]) -> None:
    floats = sets[0]
    eight_bit = ((floats + 1) * 127.5).round().to(torch.uint8)
    one = space_for(None, real=(eight_bit,), value_range=(0.0, 255.0)).features(eight_bit)
    other = space_for(None, real=(eight_bit / 127.5 - 1,), value_range=(-1.0, 1.0)).features(
        eight_bit / 127.5 - 1
    )
    assert torch.allclose(one, other, atol=1e-4)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("pixels", ("pixels", {})),
        ("onnx:a/b.onnx", ("onnx", {"path": "a/b.onnx"})),
        ("timm:resnet18.a1", ("timm", {"model": "resnet18.a1"})),
        ('{"kind": "pca", "components": 3}', ("pca", {"components": 3})),
    ],
)
def test_features_are_named_in_a_word(text: str, parsed: tuple) -> None:
    assert parse_features(text) == parsed


def test_mirror_images_are_a_matter_of_pixels(sets: list[Tensor]) -> None:
    with pytest.raises(ConfigError, match="between pixels only"):
        space_for("pca", real=(sets[0],), value_range=(-1.0, 1.0), mirrored=True)


def test_an_encoder_at_hand_is_taken_as_it_is(sets: list[Tensor]) -> None:
    encoder = UserEncoder(lambda images: images.flatten(1)[:, :5], name="corner")
    space = space_for(encoder, real=(sets[0],), value_range=(-1.0, 1.0))
    assert space.rows(sets[1]).shape == (300, 5)
    assert space.about["features"] == "callable"


def test_flipped_copies_are_found_unless_told_not_to(sets: list[Tensor]) -> None:
    training, holdout, fresh = sets
    generated = fresh.clone()
    generated[:25] = Flip()(training[:25], fresh=fresh[:25], seeds=range(25), value_range=None)
    found = ecotone.audit(generated=generated, training=training, holdout=holdout)
    assert found.record.outcome == "copies"
    assert found.record.features["mirrored"] is True
    assert set(found.training["training"][:25]) == {str(row) for row in range(25)}
    blind = ecotone.audit(generated=generated, training=training, holdout=holdout, mirrored=False)
    assert blind.record.outcome == "none"


def test_the_control_recognizes_what_is_not_altered(honest: Audit) -> None:
    controls = {control.transform: control for control in honest.record.controls}
    for transform in ("exact", "flip"):
        assert controls[transform].recognized.value == 1
        assert controls[transform].traced.value == 1
    assert controls["blend"].recognized.value < 0.5
    for control in honest.record.controls:
        assert control.standing_out is not None
        assert control.standing_out.value >= control.recognized.value
    assert any("altered by" in caveat and "blend" in caveat for caveat in honest.record.caveats)


def test_every_training_image_has_its_risk_in_order(honest: Audit) -> None:
    table = honest.training
    assert table["rank"].to_list() == list(range(1, 301))
    assert sorted(table["training"].to_list(), key=int) == [str(row) for row in range(300)]
    known = table.drop_nulls("gap_ratio")
    keys = list(zip((-known["copies"]).to_list(), known["gap_ratio"].to_list(), strict=True))
    assert keys == sorted(keys)
    assert table["gap_ratio"][: len(known)].null_count() == 0
    assert honest.generated["gap_ratio"].is_sorted()
    assert honest.holdout is not None
    assert len(honest.holdout) == 300


def test_p_values_of_training_images_are_ranks_among_the_holdout(honest: Audit) -> None:
    values = honest.training["p_value"].to_numpy()
    assert values.min() >= 1 / 301
    # An honest generator is as near to training images as to others.
    assert abs(np.mean(values) - 0.5) < 0.08


def test_bad_samples_are_no_merit(sets: list[Tensor]) -> None:
    training, holdout, fresh = sets
    noise = torch.rand(fresh.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = ecotone.audit(generated=noise, training=training, holdout=holdout)
    assert found.record.outcome == "none"
    assert any("generator of noise copies nothing" in caveat for caveat in found.record.caveats)


def test_the_schema_in_the_documentation_is_that_of_the_record() -> None:
    schema = json.loads((DOCS / "audit.schema.json").read_text())
    assert schema == AuditRecord.model_json_schema()


def test_neighbours_by_an_index_find_the_same_copies(sets: list[Tensor]) -> None:
    training, holdout, fresh = sets
    generated = torch.cat([fresh[:200], training[:50]])
    found = ecotone.audit(generated=generated, training=training, holdout=holdout, approximate=True)
    assert found.record.outcome == "copies"
    assert found.readings["copied_share_gap_ratio"].value == pytest.approx(0.2)
    assert found.readings["search_recall"].value > 0.95


def test_compression_that_differs_between_the_sets_is_told() -> None:
    import io

    from PIL import Image

    from stored_sets import encoded

    made = np.random.default_rng(0)
    smooth = np.cumsum(np.cumsum(made.normal(size=(360, 24, 24, 3)), axis=1), axis=2)
    smooth -= smooth.min(axis=(1, 2, 3), keepdims=True)
    photos = (255 * smooth / smooth.max(axis=(1, 2, 3), keepdims=True)).astype(np.uint8)
    jpeg = [Image.open(io.BytesIO(encoded(p, "JPEG", quality=40))) for p in photos[120:240]]
    held = np.stack([np.asarray(image) for image in jpeg])
    found = ecotone.audit(generated=photos[240:], training=photos[:120], holdout=held)
    serious = [confounder.kind for confounder in found.record.confounders if confounder.serious]
    assert serious == ["JPEG differs"]
    assert any("verdict may rest on that alone" in caveat for caveat in found.record.caveats)
