"""What an audit found, in plain values: the form of ``audit.json`` and of ``--json``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ecotone.core.readings import Reading

__all__ = [
    "AuditRecord",
    "ConfounderRecord",
    "ControlRecord",
    "DisagreementRecord",
    "FindingRecord",
    "LeaksRecord",
    "NeededRecord",
    "ReadingRecord",
    "SetRecord",
]

FORM = "ecotone.audit/1"
"""Name of this form; its number rises where a reader of the old one would go wrong."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ReadingRecord(_Record):
    """A number with its doubt."""

    value: float
    low: float | None = Field(description="lower end of the interval; null where none is known")
    high: float | None = Field(description="upper end of the interval")
    n: int = Field(description="samples it was had from")
    unit: str
    higher_is: Literal["better", "worse", "more copying", "less copying", "neither"]
    level: float = Field(description="coverage that the interval is built for")
    how: dict[str, Any] = Field(description="what was done to get it")

    @classmethod
    def of(cls, reading: Reading) -> ReadingRecord:
        """Return a reading's record."""
        return cls(**reading.to_record())


class SetRecord(_Record):
    """One of the three sets."""

    name: str = Field(description="as it was given")
    kind: str = Field(description="folder, array, parquet or memory")
    items: int = Field(description="compared; what was left out is told by the confounders")
    is_image: bool
    shape: list[int] = Field(description="of an item; an image's is channels, height, width")
    type: str = Field(description="of the numbers compared")
    fingerprint: str = Field(description="hash of the content as opened")
    formats: dict[str, int] = Field(description="files by format")
    sizes: dict[str, int] = Field(description="images by width×height, as found")
    notes: list[str] = Field(description="what was done to open it")
    range: tuple[float, float] | None = Field(None, description="of the values as found")
    left_out: int = Field(0, description="files or columns beside the items that are none")


class FindingRecord(_Record):
    """One test."""

    name: str
    kind: Literal["copies", "overfitting"]
    question: str
    p_value: float
    level: float = Field(description="significant at or below; the audit's level, shared")
    significant: bool
    seen: str


class NeededRecord(_Record):
    """How many images would be enough to tell."""

    generated: int
    holdout: int


class ConfounderRecord(_Record):
    """Something that disturbs an audit, and what was done about it."""

    kind: str
    serious: bool = Field(description="whether the verdict may be wrong for it")
    sentence: str
    count: int
    examples: list[str]


class ControlRecord(_Record):
    """Training images altered in one way and given as if generated: the audit's sensitivity."""

    transform: str
    recognized: ReadingRecord = Field(description="share that the gap ratio calls copies")
    standing_out: ReadingRecord | None = Field(
        description="share whose gap ratio is below the holdout's 1 % quantile; null without one"
    )
    traced: ReadingRecord = Field(description="share whose nearest training image is the source")


class LeaksRecord(_Record):
    """Different training images leaked."""

    copies: int
    unique: int
    samples: list[int] = Field(description="numbers of samples, up to twice those there are")
    expected: list[float] = Field(description="different training images among so many")
    low: list[float]
    high: list[float]
    total: float = Field(description="how many would leak in the end, at least")
    total_low: float
    total_high: float


class DisagreementRecord(_Record):
    """What one detector says, beside the others."""

    name: str
    about: str
    statistic: float
    p_value: float | None
    says_copying: bool | None = Field(description="p_value at or below the audit's level")


class AuditRecord(_Record):
    """An audit."""

    form: Literal["ecotone.audit/1"] = FORM
    version: str = Field(description="of ecotone")
    outcome: Literal["none", "copies", "overfits", "too_few"]
    exit_code: int
    sentence: str
    level: float = Field(description="chance of any false finding")
    asked_share: float = Field(description="share of copies that is to be seen")
    seen_share: float | None = Field(
        description="smallest share of verbatim copies seen with a chance of 95 %"
    )
    needed: NeededRecord | None = Field(description="images to see the asked share")
    basis: Literal["holdout", "halves"] = Field(
        description="what generated images were held against"
    )
    seed: int
    settings: dict[str, Any] = Field(description="as given; null where left to the audit")
    features: dict[str, Any]
    sets: dict[str, SetRecord]
    findings: list[FindingRecord]
    readings: dict[str, ReadingRecord]
    confounders: list[ConfounderRecord]
    controls: list[ControlRecord]
    leaks: LeaksRecord | None
    detectors: list[DisagreementRecord]
    agreement: dict[str, dict[str, float]] = Field(
        description="rank correlation of the scores of generated images, score by score"
    )
    caveats: list[str]
