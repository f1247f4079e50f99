"""Measuring a denoiser while it trains: in our loop or in anybody's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from ecotone.core import Reading, Step
from ecotone.core.seeds import sample_seeds
from ecotone.denoisers import Denoiser, EmpiricalDenoiser
from ecotone.features import FeatureSpace
from ecotone.features.cache import cached
from ecotone.measures import MEASURES, Evidence, Neighbours, Reference
from ecotone.measures.probe import Probe, evaluations, levels
from ecotone.samplers import Sampler, sample
from ecotone.training.execution import Execution

__all__ = ["Judge", "Measurement", "Monitor"]

_ASKING = frozenset({"denoising", "memorizer"})
"""Measures that ask the denoiser about noisy images."""

_TOGETHER = 256
"""Samples drawn at once."""


@dataclass(frozen=True)
class Measurement:
    """What was seen at one training step.

    Args:
        step: training steps taken.
        readings: by measure; what could not be had is absent.
        neighbours: distances of the generated samples, for galleries.
        generated: the samples themselves, in the data's units.
    """

    step: int
    readings: dict[str, Reading]
    neighbours: Neighbours = field(repr=False)
    generated: Float[Tensor, " samples *shape"] = field(repr=False)


class Judge:
    """Measures generated samples against one training set and one holdout.

    Everything that belongs to the data alone (distances between holdout and training set,
    near-duplicates) is computed once, here.

    Args:
        training: the training set, (n, *shape).
        holdout: images of the same population that the model never saw, (m, *shape).
        features: fitted feature space for distances between distributions.
        measures: names from ``ecotone.measures.MEASURES``.
        sigma_data: standard deviation of the data.
        seed: of the run.
    """

    def __init__(
        self,
        *,
        training: Float[Tensor, " n *shape"],
        holdout: Float[Tensor, " m *shape"],
        features: FeatureSpace,
        measures: Sequence[str],
        sigma_data: float,
        seed: int,
    ) -> None:
        self.training, self.holdout = training, holdout
        # The same holdout is encoded once, however often it is measured against.
        self.features = cached(features)
        self.names = tuple(measures)
        self.sigma_data, self.seed = sigma_data, seed
        self._measures = [MEASURES.find(name) for name in measures]
        self._reference = Reference(training=training, holdout=holdout)
        self._probe: Probe | None = None

    @property
    def asks(self) -> bool:
        """Whether any measure asks the denoiser itself, beside its samples."""
        return not _ASKING.isdisjoint(self.names)

    def probe(self) -> Probe:
        """Return the noisy images that the denoiser is asked about, the same each time."""
        if self._probe is None:
            self._probe = Probe(
                training=self.training,
                holdout=self.holdout,
                sigmas=levels(self.sigma_data),
                seed=self.seed,
            )
        return self._probe

    def judge(
        self,
        generated: Float[Tensor, " samples *shape"],
        *,
        step: int = 0,
        denoiser: Denoiser | None = None,
        device: torch.device | str | None = None,
    ) -> Measurement:
        """Measure samples; what needs the denoiser is absent where none is given.

        Args:
            generated: the samples.
            step: at which they were drawn.
            denoiser: that they were drawn from.
            device: where it lives; the samples' where None.
        """
        evidence = Evidence(
            generated=generated,
            training=self.training,
            holdout=self.holdout,
            neighbours=self._reference.neighbours(generated),
            features=self.features,
            denoiser=denoiser,
            sigma_data=self.sigma_data,
            seed=self.seed,
            device=device,
            probe=self.probe() if self.asks else None,
        )
        readings: dict[str, Reading] = {}
        for measure in self._measures:
            readings |= measure(evidence)
        return Measurement(step, readings, evidence.neighbours, generated)

    def against(self, holdout: Float[Tensor, " m *shape"]) -> Judge:
        """Return a judge that holds the same training set against another holdout."""
        return Judge(
            training=self.training,
            holdout=holdout,
            features=self.features,
            measures=self.names,
            sigma_data=self.sigma_data,
            seed=self.seed,
        )


class Monitor:
    """Samples a denoiser as it trains, and has the samples judged.

    Args:
        judge: what measures the samples.
        sampler: how to draw.
        samples: how many samples a measurement draws, each with a seed of its own.
        device: where the denoiser lives.
        seed: of the samples' noise; the judge's where None.
        execution: how the denoiser is passed through to draw, usually as in training; what measures
            ask it themselves is float32 always. Plain float32 where None.
    """

    def __init__(
        self,
        judge: Judge,
        *,
        sampler: Sampler,
        samples: int,
        device: torch.device | str = "cpu",
        seed: int | None = None,
        execution: Execution | None = None,
    ) -> None:
        self.judge = judge
        self.sampler, self.samples = sampler, samples
        self.device = torch.device(device)
        self.seed = judge.seed if seed is None else seed
        self.execution = execution or Execution()
        self._together = _TOGETHER

    @property
    def cost(self) -> int:
        """Network evaluations that one measurement takes."""
        judge, cost = self.judge, self.samples * self.sampler.evaluations
        if judge.asks:
            cost += evaluations(training=len(judge.training), holdout=len(judge.holdout))
        return cost

    def measure(self, denoiser: Denoiser, step: int) -> Measurement:
        """Draw samples from a denoiser and measure them; the same step draws the same noise."""
        generated = self._draw(denoiser, step).to(self.judge.training.device)
        return self.judge.judge(generated, step=step, denoiser=denoiser, device=self.device)

    def _draw(self, denoiser: Denoiser, step: int) -> Tensor:
        """Draw samples, half as many at a time where the device's memory is too small."""
        training = self.judge.training
        seeds = sample_seeds(self.samples, self.seed, "generated", step)
        while True:
            try:
                with self.execution.autocast(self.device):
                    return sample(
                        denoiser,
                        self.sampler,
                        seeds=seeds,
                        shape=tuple(training.shape[1:]),
                        batch_size=self._together,
                        device=self.device,
                        dtype=training.dtype,
                    )
            except torch.OutOfMemoryError:
                if self._together == 1:
                    raise
            self._together //= 2
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def watch(
        self, steps: Iterable[Step], denoiser: Denoiser, *, at: Iterable[int]
    ) -> Iterator[Step | Measurement]:
        """Pass a training loop's steps through, with a measurement after each of the given ones.

        Args:
            steps: the loop, ours or another's, that trains ``denoiser`` as it is advanced.
            denoiser: what to measure, usually the average of the weights.
            at: the steps to measure after, see :func:`ecotone.training.measuring_steps`.
        """
        due = frozenset(at)
        for step in steps:
            yield step
            if step.index in due:
                yield self.measure(denoiser, step.index)

    def perfect_memorizer(self) -> Measurement:
        """Measure the denoiser that has memorized its training set."""
        return self.measure(EmpiricalDenoiser(self.judge.training.to(self.device)), 0)

    def holdout_as_generated(self) -> Measurement:
        """Measure one half of the holdout as if it had been generated, against the other half.

        It is what a model that draws from the population itself would score.
        """
        holdout = self.judge.holdout
        return self.judge.against(holdout[1::2]).judge(holdout[0::2])
