"""What the evidence of one mechanism says of a patient: a state by name, in words, with strength.

The states and the verdict that follows from each stand in `resources/mechanism_rules.yaml`.
"""

import math
from dataclasses import dataclass

from relapsescope.mechanisms.cited import Cited

NOTHING = Cited("")


@dataclass(frozen=True)
class Finding:
    """What the evidence of one mechanism says.

    Attributes
    ----------
    strength
        0 to 1, NaN where there is no evidence; its meaning is the mechanism's, in the rules.
    against
        What speaks against the verdict.
    not_assessed
        What of the mechanism could not be judged, and why.
    """

    state: str
    evidence: Cited
    strength: float = math.nan
    against: Cited = NOTHING
    not_assessed: Cited = NOTHING


def clipped(value: float) -> float:
    """Return a strength between 0 and 1; NaN stays."""
    return value if math.isnan(value) else min(1.0, max(0.0, value))
