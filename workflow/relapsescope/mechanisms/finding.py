"""What the evidence of one mechanism says of a patient: a state by name, in words, with strength.

The states and the verdict that follows from each stand in `resources/mechanism_rules.yaml`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

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
    beside
        What a measurement that decides nothing says of it.
    leaning
        Probability that the mechanism holds, where the state is open and the data say something;
        NaN elsewhere.
    states_leaning
        The same for states that the mechanism may be in, where the search for the primary one
        tells them apart; empty where it does not.
    """

    state: str
    evidence: Cited
    strength: float = math.nan
    against: Cited = NOTHING
    not_assessed: Cited = NOTHING
    beside: Cited = NOTHING
    leaning: float = math.nan
    states_leaning: Mapping[str, float] = field(default_factory=dict)


def clipped(value: float) -> float:
    """Return a strength between 0 and 1; NaN stays."""
    return value if math.isnan(value) else min(1.0, max(0.0, value))
