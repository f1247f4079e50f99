from __future__ import annotations

from pathlib import Path

import torch

from ecotone.core.tensors import read_tensors
from ecotone.features.pca import PrincipalComponents
from ecotone.populations import POPULATIONS, Split
from ecotone.studies.gallery import write_gallery
from ecotone.training import Judge


def judge_of(split: Split) -> Judge:
    return Judge(
        training=split.training,
        holdout=split.holdout,
        features=PrincipalComponents(components=2).fit(split.holdout),
        measures=["copying"],
        sigma_data=1.0,
        seed=0,
    )


def test_it_shows_each_copied_image_once_and_the_nearest_first(tmp_path: Path) -> None:
    split = POPULATIONS.create("digits", {}).split(40, 40, seed=0)
    # Images 0 to 2 are copied, 0 twice; the nearest copy is that of image 2.
    noise = torch.tensor([0.3, 0.2, 0.1, 0.0]).view(-1, 1, 1, 1)
    generated = split.training[[0, 0, 1, 2]] + noise
    path = tmp_path / "gallery.safetensors"
    write_gallery(path, judge_of(split).judge(generated, step=7), split, value_range=(-1.0, 1.0))
    tensors, about = read_tensors(path)
    assert about["training_ids"] == [split.training_ids[index] for index in (2, 1, 0)]
    assert about["step"] == 7
    assert torch.equal(tensors["nearest_training"], split.training[[2, 1, 0]])
    assert torch.equal(tensors["generated"], generated[[3, 2, 1]])
    assert tensors["distance_training"][0] == 0
    suspicion = tensors["distance_training"] / tensors["distance_second"]
    assert (suspicion.diff() > 0).all()


def test_vectors_have_none(tmp_path: Path) -> None:
    split = POPULATIONS.create("gaussian", {"dimension": 3}).split(10, 10, seed=0)
    write_gallery(tmp_path / "none", judge_of(split).judge(split.training), split, value_range=None)
    assert not (tmp_path / "none").exists()
