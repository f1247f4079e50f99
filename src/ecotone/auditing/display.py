"""An audit as a notebook shows it: the verdict, its tests, the images most at risk."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

from jinja2 import Environment
from PIL import Image

from ecotone.core.readings import Reading
from ecotone.measures.scores import gap_ratios

if TYPE_CHECKING:
    from torch import Tensor

    from ecotone.auditing.run import Audit

__all__ = ["as_html"]

_PAIRS = 8
_SIDE = 64

_COLOURS = {"none": "#1a7f37", "copies": "#b42318", "overfits": "#b54708", "too_few": "#475467"}

_SHOWN = (
    "copied_share_gap_ratio",
    "copied_share_holdout_quantile",
    "leakage_share",
    "closer_to_training_share",
    "membership_auc",
    "frechet_holdout_matched",
    "frechet_training_matched",
    "precision",
    "coverage",
    "vendi",
)

_TEMPLATE = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
    """
<div style="border-left: 4px solid {{ colour }}; padding: 0 1em; max-width: 60em">
<p style="font-size: 1.15em"><b>{{ record.sentence }}</b></p>
{% for caveat in record.caveats %}<p>{{ caveat }}</p>
{% endfor %}
<details open><summary>Tests</summary><table>
<tr><th>question</th><th>p-value</th><th>at or below</th><th>seen</th></tr>
{% for finding in record.findings %}
<tr><td>{{ finding.question }}</td>
<td>{% if finding.significant %}<b>{{ "%.2g"|format(finding.p_value) }}</b>\
{% else %}{{ "%.2g"|format(finding.p_value) }}{% endif %}</td>
<td>{{ "%.2g"|format(finding.level) }}</td><td>{{ finding.seen }}</td></tr>
{% endfor %}</table></details>
<details><summary>Measures</summary><table>
{% for name, reading in shown %}<tr><td>{{ name }}</td><td>{{ reading }}</td></tr>
{% endfor %}</table></details>
{% if pairs %}<details open><summary>Generated images most like copies, each above its nearest \
training image</summary><table><tr>
{% for pair in pairs %}<td style="text-align: center">
<img src="{{ pair.generated }}" width="{{ side }}" alt="generated"><br>
<img src="{{ pair.training }}" width="{{ side }}" alt="training"><br>
<small>{{ pair.name }}</small></td>
{% endfor %}</tr></table></details>{% endif %}
</div>
"""
)


def as_html(audit: Audit) -> str:
    """Return a fragment of HTML; everything that comes from files is escaped.

    Args:
        audit: to show.
    """
    readings = {
        name: Reading.from_record(audit.record.readings[name].model_dump())
        for name in _SHOWN
        if name in audit.record.readings
    }
    return _TEMPLATE.render(
        record=audit.record,
        colour=_COLOURS[audit.record.outcome],
        shown=[(name.replace("_", " "), str(reading)) for name, reading in readings.items()],
        pairs=_pairs(audit),
        side=_SIDE,
    )


def _pairs(audit: Audit) -> list[dict[str, str]]:
    """Return the pairs most like copies as pictures, where the items are images."""
    ratios, sets = gap_ratios(audit.neighbours.generated), audit.sets
    if ratios is None or not sets.training.is_image or sets.training.value_range is None:
        return []
    chosen = ratios.argsort(stable=True)[:_PAIRS].tolist()
    near = audit.neighbours.generated.index
    return [
        {
            "generated": _picture(sets.generated.items[row], sets.training.value_range),
            "training": _picture(sets.training.items[int(near[row])], sets.training.value_range),
            "name": sets.training.ids[int(near[row])],
        }
        for row in chosen
    ]


def _picture(image: Tensor, value_range: tuple[float, float]) -> str:
    """Return an image (channels, height, width) as a data address."""
    low, high = value_range
    pixels = ((image.float() - low) / (high - low) * 255).round().clamp(0, 255).byte()
    if len(pixels) in (1, 2):
        picture = Image.fromarray(pixels[0].numpy(), mode="L")
    else:
        picture = Image.fromarray(pixels[:3].permute(1, 2, 0).contiguous().numpy(), mode="RGB")
    picture.thumbnail((4 * _SIDE, 4 * _SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
