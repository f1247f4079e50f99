"""A study of two runs that takes a second."""

from __future__ import annotations

from pathlib import Path

import yaml

TINY = {
    "name": "tiny",
    "factors": {"n": [4, 8]},
    "seeds": [0],
    "population": {"kind": "digits"},
    "holdout": 24,
    "model": {"kind": "mlp", "width": 16},
    "training": {"steps": 60, "batch_size": 8, "warmup_steps": 5, "checkpoint_every": 7},
    "sampler": {"kind": "euler", "steps": 4},
    "monitor": {"samples": 12, "share": 0.6, "first": 10, "per_decade": 6},
}


def write_study(folder: Path, **changes: object) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump({**TINY, **changes}))
    return path
