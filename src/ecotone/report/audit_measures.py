"""What an audit's measures are called, what they mean, and what stands beside each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ecotone.auditing.record import ReadingRecord
from ecotone.report.tables import ABSENT, Cell
from ecotone.report.text import capital, clean, number, percent, plain

__all__ = [
    "COPYING",
    "DISTRIBUTIONS",
    "MEASURES",
    "SAMPLES",
    "Distribution",
    "Measure",
    "others",
    "reading_cell",
    "said",
]

Readings = Mapping[str, ReadingRecord]


@dataclass(frozen=True)
class Measure:
    """One measure of an audit.

    Args:
        name: of its reading.
        title: what the page calls it.
        meaning: in a sentence.
        beside: name of the reading that says what is usual; its own row is left out.
        usual: what is usual, where that is no reading.
    """

    name: str
    title: str
    meaning: str
    beside: str | None = None
    usual: str = ""


@dataclass(frozen=True)
class Distribution:
    """A measure of two distributions, had against three references.

    Args:
        title: what a sentence calls it.
        meaning: in a sentence.
        training: reading against the training set.
        matched: reading against as many held-out images.
        holdout: reading against all held-out images.
    """

    title: str
    meaning: str
    training: str | None
    matched: str | None
    holdout: str | None

    @property
    def names(self) -> tuple[str, ...]:
        """The readings it has."""
        return tuple(name for name in (self.training, self.matched, self.holdout) if name)


COPYING = (
    Measure(
        "copied_share_gap_ratio",
        "Copied share, by gap ratio",
        "Generated images less than a third as far from their nearest training image as from the "
        "nearest distinct one (Yoon et al. 2023).",
        beside="copied_share_gap_ratio_floor",
    ),
    Measure(
        "copied_share_holdout_quantile",
        "Copied share, by holdout quantile",
        "Generated images nearer to a training image than 99 % of held-out images are; the "
        "quantile sets what honest images show.",
        beside="copied_share_holdout_quantile_floor",
    ),
    Measure(
        "copied_share_calibrated",
        "Copied share, by calibrated distance",
        "Generated images nearer to a training image than half the mean distance to their 50 "
        "nearest distinct ones (Carlini et al. 2023): it tells some altered copies, too.",
        beside="copied_share_calibrated_floor",
    ),
    Measure(
        "leakage_share",
        "Leakage share",
        "Estimated share of generated images whose nearest real image is one of the training set "
        "because it was trained on: how much more often than labels dealt by chance would have it.",
        usual="0 if nothing leaks",
    ),
    Measure(
        "closer_to_training_share",
        "Closer to training",
        "Generated images nearer to a training image than to a held-out one, among equally many of "
        "each.",
        usual="50 % if nothing leaks",
    ),
    Measure(
        "membership_auc",
        "Membership AUC",
        "How often a training image is nearer to a generated one than a held-out image is: what an "
        "attacker could tell members by.",
        usual="0.5 if nothing leaks",
    ),
    Measure(
        "membership_true_positive_rate",
        "Members found at 1 % false positives",
        "Training images nearer to a generated one than 99 % of held-out images are.",
        usual="1 % if nothing leaks",
    ),
    Measure(
        "data_copying_auc",
        "Data-copying AUC",
        "How often a generated image is nearer to the training set than a held-out one of its cell "
        "of the data (Meehan et al. 2020).",
        usual="50 % if nothing leaks",
    ),
    Measure(
        "data_copying_statistic",
        "Data-copying statistic",
        "The same in standard deviations; it grows with the number of images.",
        usual="0 if nothing leaks",
    ),
    Measure(
        "authentic_share",
        "Authentic share",
        "Generated images farther from their nearest training image than that is from its own "
        "nearest other (Alaa et al. 2022). Poor images are authentic, too.",
        beside="authentic_share_holdout",
    ),
    Measure(
        "memorized_share",
        "Memorized",
        "Generated images that are copies by the gap ratio (kinds of Pham et al. 2025).",
    ),
    Measure(
        "spurious_share",
        "Spurious",
        "Generated images that are no copies but come more than once; the more are drawn, the "
        "more do.",
    ),
    Measure("generalized_share", "Generalized", "Generated images that are neither."),
)
"""Measures of how near generated images are to the training set."""

DISTRIBUTIONS = (
    Distribution(
        "Fréchet distance",
        "Squared distance of means and covariances of features: how far the generated distribution "
        "is from a reference. Biased upwards where images are few.",
        "frechet_training_matched",
        "frechet_holdout_matched",
        "frechet_holdout",
    ),
    Distribution(
        "kernel distance (KID)",
        "Squared distance of distributions by a cubic kernel; unbiased, so it may fall below 0.",
        "kid_training_matched",
        "kid_holdout_matched",
        None,
    ),
    Distribution(
        "precision",
        "Generated images that lie among real ones (Kynkäänniemi et al. 2019).",
        "precision_training",
        "precision_matched",
        "precision",
    ),
    Distribution(
        "coverage",
        "Real images with a generated one among their nearest (Naeem et al. 2020).",
        "coverage_training",
        "coverage_matched",
        "coverage",
    ),
    Distribution(
        "recall",
        "Real images that lie among generated ones (Kynkäänniemi et al. 2019).",
        None,
        None,
        "recall",
    ),
    Distribution(
        "density",
        "How crowded generated images lie where real ones are dense; 1 for images like these.",
        None,
        None,
        "density",
    ),
)
"""Measures of whole distributions, against training and held-out images."""

SAMPLES = (
    Measure(
        "novelty",
        "Novelty",
        "Mean distance to the training set over that of held-out images: 0 for copies; above 1 "
        "images are off the population.",
        usual="1 if as new as held-out",
    ),
    Measure(
        "novelty_rank",
        "Novelty, by rank",
        "How often a generated image is farther from the training set than a held-out one.",
        usual="50 % if as new as held-out",
    ),
    Measure(
        "vendi",
        "Vendi score",
        "Effective number of different images: exponential of the entropy of their similarities "
        "(Friedman & Dieng 2023). Copies of different images are as diverse as these.",
        beside="vendi_holdout_matched",
    ),
    Measure(
        "memorization_distance",
        "Cosine distance to training",
        "Mean cosine distance of generated images to their nearest training image.",
        beside="memorization_distance_floor",
    ),
    Measure(
        "mifid_holdout",
        "Penalized Fréchet distance (MiFID)",
        "The Fréchet distance to held-out data, divided by that mean cosine distance where it is "
        "below 0.1 (Bai et al. 2021): copying makes it large.",
    ),
    Measure(
        "likelihood_gap",
        "Likelihood gap",
        "How much less likely training images are than held-out ones in a density around the "
        "generated images (after Jiralerspong et al. 2023); below 0 they are likelier.",
        usual="0 if nothing leaks",
    ),
    Measure(
        "fld_holdout",
        "Feature likelihood divergence (FLD)",
        "How much less likely held-out images are around generated images than around training "
        "images (Jiralerspong et al. 2023); poor images, missing ones and copies all raise it.",
    ),
)
"""What else is known of the generated images."""

MEASURES = {measure.name: measure for measure in (*COPYING, *SAMPLES)}

_KNOWN = {
    "search_recall",
    *(name for one in DISTRIBUTIONS for name in one.names),
    *(name for one in MEASURES.values() for name in (one.name, one.beside) if name),
}


def others(readings: Readings) -> tuple[Measure, ...]:
    """Return what an audit has read beside the measures that are known here, by name.

    >>> from ecotone.core.readings import Reading
    >>> reading = ReadingRecord.of(Reading(1.0, n=2, unit="ratio", higher_is="neither"))
    >>> [one.title for one in others({"new_score": reading, "vendi": reading})]
    ['New score']
    """
    return tuple(
        Measure(name, capital(plain(name)), "") for name in sorted(readings) if name not in _KNOWN
    )


def said(reading: ReadingRecord, value: float) -> str:
    """Return a value in the unit of its reading."""
    return percent(value) if reading.unit == "share" and value >= 0 else number(value)


def reading_cell(reading: ReadingRecord | None) -> Cell:
    """Return a reading with its interval beneath; a dash where there is none."""
    if reading is None:
        return ABSENT
    text = said(reading, reading.value)
    if reading.low is None or reading.high is None:
        return Cell(text)
    return Cell(text, f"{said(reading, reading.low)} to {said(reading, reading.high)}")


def unit_of(reading: ReadingRecord) -> str:
    """Return what a reading is counted in; nothing where its name or sign says so."""
    return "" if reading.unit in ("share", "AUC") else clean(reading.unit)
