"""When to measure: log-spaced steps, as dense as a budget of network evaluations allows."""

from __future__ import annotations

import math

from ecotone.core import ConfigError

__all__ = ["measuring_steps"]

EVALUATIONS_PER_TRAINING_IMAGE = 3
"""A training step costs about three network evaluations an image: forward, and twice that back."""


def measuring_steps(
    steps: int,
    *,
    cost: int,
    batch_size: int,
    share: float,
    first: int,
    per_decade: int,
    at_least: int = 5,
) -> tuple[int, ...]:
    """Return the training steps after which to measure.

    The steps are log-spaced from ``first`` to ``steps``, the last included, at most ``per_decade``
    in a factor of ten. Where measuring at all of them would take more than ``share`` of the run's
    network evaluations (its training's, counted as three an image, and the measuring's own), the
    spacing is widened until it does not. The budget counts evaluations, not seconds, so the steps
    are the same on every machine and after every interruption. A run too short for its share is
    measured ``at_least`` times all the same: without a trajectory it would tell nothing.

    Args:
        steps: length of the run.
        cost: network evaluations of one measurement.
        batch_size: images a training step.
        share: largest share of all evaluations that measuring may take, in (0, 1).
        first: earliest step to measure after.
        per_decade: most measurements in a factor of ten of steps.
        at_least: measurements of a run however short, but no more than one a step.

    Raises:
        ConfigError: for a share outside (0, 1).

    >>> measuring_steps(1000, cost=1, batch_size=32, share=0.1, first=10, per_decade=3)
    (10, 22, 46, 100, 215, 464, 1000)
    >>> measuring_steps(1000, cost=2000, batch_size=32, share=0.1, first=10, per_decade=3)
    (10, 32, 100, 316, 1000)
    """
    if not 0 < share < 1:
        raise ConfigError(
            f"monitor.share = {share} must lie between 0 and 1", hint="set monitor.share=0.05"
        )
    training = EVALUATIONS_PER_TRAINING_IMAGE * batch_size * steps
    affordable = max(at_least, int(training * share / (1 - share) / cost) if cost else steps)
    # A run shorter than five times the first step begins to measure earlier.
    first = max(1, min(first, steps // at_least))
    count = min(affordable, 1 + math.floor(per_decade * math.log10(steps / first) + 1e-9))
    count = max(count, min(at_least, steps))
    if count == 1:
        return (steps,)
    ratio = (steps / first) ** (1 / (count - 1))
    return tuple(sorted({round(first * ratio**k) for k in range(count - 1)} | {steps}))
