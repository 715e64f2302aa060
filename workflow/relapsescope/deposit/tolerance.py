"""How far a repeat may differ from what was deposited."""

import math
import re
from dataclasses import dataclass

from relapsescope.errors import InputProblem


@dataclass(frozen=True)
class Tolerance:
    """What may differ.

    Attributes
    ----------
    amount
        Two numbers agree when they differ by at most `amount`, or by that share of the deposited
        one where it is over 1. Counts of rows agree when they differ by at most that share of all.
    shape
        Whether only the shape is compared: the number of rows and how often each text occurs.
        So for coordinates of a map, whose single numbers carry no meaning.
    """

    amount: float = 0.0
    shape: bool = False

    def allows(self, found: float, expected: float) -> bool:
        """Return whether two numbers agree; two missing ones do, one missing does not."""
        if math.isnan(found) or math.isnan(expected):
            return math.isnan(found) and math.isnan(expected)
        if found == expected:
            return True
        # Both were printed with six digits, so that a limit of 0.01 must not fail for 1e-17.
        limit = self.amount * max(1.0, abs(expected)) * (1 + 1e-9)
        return abs(found - expected) <= limit

    def __str__(self) -> str:
        """Return the words that `parse_tolerance` reads."""
        return f"shape {self.amount:g}" if self.shape else f"{self.amount:g}"


def parse_tolerance(text: str, *, where: str) -> Tolerance:
    """Return the tolerance that a manifest's field names: ``0``, ``0.02`` or ``shape 0.05``.

    Parameters
    ----------
    where
        File and row, for the message.

    Raises
    ------
    InputProblem
        For any other text.
    """
    found = re.fullmatch(r"(shape )?(\d+(?:\.\d*)?(?:e-?\d+)?)", text.strip())
    if found is None:
        raise InputProblem(
            f"{where}: tolerance {text!r} cannot be read; it is a number or `shape` and a number"
        )
    return Tolerance(float(found[2]), shape=bool(found[1]))
