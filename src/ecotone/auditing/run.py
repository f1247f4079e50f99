"""From three sets of images to a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch

from ecotone.auditing.confounders import Sets, prepare
from ecotone.auditing.control import controls
from ecotone.auditing.judging import judge
from ecotone.auditing.measuring import Told, evidence_of, limited, measured
from ecotone.auditing.record import AuditRecord
from ecotone.auditing.risk import generated_table, holdout_table, training_table
from ecotone.auditing.samples import drawn_samples
from ecotone.auditing.space import Features, space_for
from ecotone.auditing.writing import written_up
from ecotone.core.errors import ConfigError
from ecotone.core.readings import Reading
from ecotone.measures.approximate_search import ApproximateSearch
from ecotone.measures.neighbours import Neighbours
from ecotone.measures.search import nearest
from ecotone.populations.arrays import Layout
from ecotone.populations.sources import open_sets

__all__ = ["Audit", "audit"]

LEVEL = 0.05
SHARE = 0.05


@dataclass(frozen=True, eq=False)
class Audit:
    """What an audit found.

    Args:
        record: all of it in plain values.
        training: the risk of every training image, the highest first; see
            :func:`ecotone.auditing.risk.training_table`.
        generated: the generated images, the most like a copy first; see
            :func:`ecotone.auditing.risk.generated_table`.
        holdout: scores of held-out images, see :func:`ecotone.auditing.risk.holdout_table`; None
            without a holdout.
        sets: the images compared.
        neighbours: of the generated images.
    """

    record: AuditRecord
    training: pl.DataFrame
    generated: pl.DataFrame
    holdout: pl.DataFrame | None
    sets: Sets
    neighbours: Neighbours

    @property
    def sentence(self) -> str:
        """The verdict."""
        return self.record.sentence

    @property
    def exit_code(self) -> int:
        """Of the command line: 0 no evidence, 1 copies, 3 too few to tell, 4 overfits."""
        return self.record.exit_code

    @property
    def readings(self) -> dict[str, Reading]:
        """Every reading by name."""
        return {
            name: Reading.from_record(reading.model_dump())
            for name, reading in self.record.readings.items()
        }

    def write(self, folder: str | Path) -> Path:
        """Write its record, its tables and its gallery to a folder.

        ``ecotone report FOLDER`` makes a page of them.

        Raises:
            RecordError: where they cannot be written.
        """
        from ecotone.auditing.files import write_audit

        return write_audit(self, Path(folder))

    def __str__(self) -> str:
        return self.sentence

    def _repr_html_(self) -> str:
        from ecotone.auditing.display import as_html

        return as_html(self)


def audit(
    *,
    generated: Any,
    training: Any,
    holdout: Any = None,
    features: Features = None,
    groups: str | Mapping[str, Sequence[Any]] | None = None,
    mirrored: bool | None = None,
    approximate: bool = False,
    size: int | None = None,
    layout: Layout = "auto",
    share: float = SHARE,
    level: float = LEVEL,
    samples: int = 500,
    download: bool = False,
    seed: int = 0,
    told: Told | None = None,
) -> Audit:
    """Say whether generated samples are copies of a training set, and how sure one can be.

    Each set is a folder of images; a ``.npy`` or ``.npz`` file; a parquet file or a folder of them
    as on the Hugging Face hub; an array, a tensor or a list of images. Items of any shape will do.
    ``generated`` may also be a diffusers pipeline, its folder or its name on the hub, which is then
    sampled. Nothing is ever unpickled, and nothing fetched unless ``download`` says so.

    Args:
        generated: the samples.
        training: what the generator was trained on.
        holdout: images of the same population that it was not trained on, split off by chance. None
            lets halves of the training set stand in, which says less.
        features: what distances are measured in: None for pixels, the name of a feature space
            (``"transformers:FOLDER"``, ``"onnx:FILE"``), one at hand, or a function of images.
        groups: what holds items together (patients, scenes): a column of a parquet file, a key of a
            ``.npz``, ``"folder"``; or labels by set, ``{"training": [...], "holdout": [...]}``.
        mirrored: whether an image and its mirror image count as the same; None where distances are
            those of images' pixels.
        approximate: whether neighbours are found by an index (extra ``faiss``), whose recall is
            then measured: for sets too large to compare every pair.
        size: side in pixels to bring images to; the smallest found where sizes differ and None.
        layout: what the axes of arrays mean: auto, nchw, nhwc, nhw or raw.
        share: of copies that the audit is to be able to see, in (0, 1).
        level: chance of any false finding, in (0, 1).
        samples: to draw from a pipeline.
        download: whether a pipeline or an encoder may be fetched from the hub.
        seed: of all that is drawn by chance.
        told: hears what is being done, and how much of it is done and to do.

    Returns:
        The audit. ``print`` it for the verdict, show it in a notebook, ``write`` it to a folder.

    Raises:
        ConfigError: for settings that are out of range or name nothing.
        DataError: for sets that cannot be read, or that cannot be compared.

    >>> from ecotone.populations.digits import Digits
    >>> digits = Digits().draw(900, seed=0)
    >>> found = audit(generated=digits[:300], training=digits[:300], holdout=digits[300:600])
    >>> print(found)
    Copies found: 100 % (99 % to 100 %) of the generated images are copies (p = ...).
    """
    told = told or _untold
    for name, value in (("share", share), ("level", level)):
        if not 0 < value < 1:
            raise ConfigError(f"{name} = {value} is out of range", hint="give a number in (0, 1)")
    drawn = drawn_samples(generated, count=samples, seed=seed, download=download, told=told)
    opened = open_sets(
        generated=generated if drawn is None else drawn.images,
        training=training,
        holdout=holdout,
        size=size,
        layout=layout,
        groups=groups,
        progress=lambda done, total: told("reading", done, total),
    )
    ours = opened[0] if drawn is None else drawn.named(opened[0])
    sets = prepare(generated=ours, training=opened[1], holdout=opened[2])
    outside = sets.training if sets.holdout is None else sets.holdout
    search = ApproximateSearch(seed) if approximate else nearest
    plain = features is None or features == "pixels"
    space = space_for(
        features,
        real=[each.items for each in (sets.training, sets.holdout) if each is not None],
        value_range=outside.value_range,
        mirrored=outside.is_image and plain if mirrored is None else mirrored,
        exact=search,
    )
    gathered = evidence_of(
        generated=space.rows(sets.generated.items),
        training=space.rows(sets.training.items),
        holdout=None if sets.holdout is None else space.rows(sets.holdout.items),
        space=space,
        seed=seed,
        told=told,
        what="neighbours",
    )
    judgement = judge(gathered, sets, space, share=share, level=level, seed=seed, told=told)
    some = limited(gathered.evidence)
    readings = measured(gathered.evidence, some, told=told)
    if isinstance(search, ApproximateSearch) and search.recall is not None:
        readings["search_recall"] = search.recall
    control = controls(
        training=sets.training.items,
        fresh=outside.items,
        rows=gathered.evidence.training,
        reference=gathered.reference,
        space=space,
        value_range=sets.training.value_range,
        is_image=sets.training.is_image,
        seed=seed,
    )
    neighbours, member = gathered.evidence.neighbours, judgement.member
    return Audit(
        record=written_up(
            gathered.evidence,
            some,
            sets,
            findings=judgement.findings,
            reach=judgement.reach,
            readings=readings,
            controls=control,
            about=space.about,
            share=share,
            level=level,
            seed=seed,
            settings={
                "features": features if isinstance(features, str) else None,
                "groups": groups if isinstance(groups, str) else None,
                "mirrored": mirrored,
                "approximate": approximate,
                "size": size,
                "layout": layout,
                "samples": None if drawn is None else samples,
                "download": download,
            },
        ),
        training=training_table(
            neighbours=neighbours,
            training=sets.training,
            generated=sets.generated,
            to_generated=gathered.evidence.to_generated[0],
            p_values=None if member is None else torch.from_numpy(member.p_values),
        ),
        generated=generated_table(
            neighbours=neighbours, generated=sets.generated, training=sets.training
        ),
        holdout=None
        if sets.holdout is None
        else holdout_table(neighbours=neighbours, holdout=sets.holdout),
        sets=sets,
        neighbours=neighbours,
    )


def _untold(what: str, done: int, total: int) -> None:
    """Tell nobody."""
