"""Digits dealt into training set, holdout and samples, and the judgement of an audit alone."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ecotone.auditing.confounders import prepare
from ecotone.auditing.judging import Judgement, judge
from ecotone.auditing.measuring import evidence_of
from ecotone.auditing.space import space_for
from ecotone.auditing.verdict import Verdict, decide
from ecotone.measures.copying import copied_share_gap_ratio
from ecotone.populations.digits import Digits
from ecotone.populations.sources import open_sets

DIGITS = Digits().items


def dealt(seed: int, *sizes: int) -> list[Tensor]:
    """Return different digits, dealt by chance into sets of these sizes."""
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(DIGITS)))
    return [DIGITS[part] for part in order[: sum(sizes)].split(sizes)]


def verdict_of(
    *, generated: Tensor, training: Tensor, holdout: Tensor | None, seed: int = 0
) -> Verdict:
    """Return an audit's verdict without the measures that do not decide it."""
    opened = open_sets(generated=generated, training=training, holdout=holdout)
    sets = prepare(generated=opened[0], training=opened[1], holdout=opened[2])
    outside = sets.training if sets.holdout is None else sets.holdout
    real = [each.items for each in (sets.training, sets.holdout) if each is not None]
    space = space_for(None, real=real, value_range=outside.value_range, mirrored=True)
    gathered = evidence_of(
        generated=sets.generated.items,
        training=sets.training.items,
        holdout=None if sets.holdout is None else sets.holdout.items,
        space=space,
        seed=seed,
        told=lambda what, done, total: None,
        what="test",
    )
    told: Judgement = judge(
        gathered,
        sets,
        space,
        share=0.05,
        level=0.05,
        seed=seed,
        told=lambda what, done, total: None,
    )
    return decide(
        told.findings,
        copied=copied_share_gap_ratio(gathered.evidence.neighbours),
        reach=told.reach,
        asked=0.05,
        halves=sets.holdout is None,
        outside=len(outside),
    )
