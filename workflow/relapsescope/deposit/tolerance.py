"""How far a repeat may differ from what was deposited: each statistic by its own kind."""

import math
import re
from dataclasses import dataclass

from relapsescope.errors import InputProblem

NUMBER, SHAPE, LOG, ERROR, LIST, CALLS = "", "shape", "log", "error", "list", "calls"
TEXT = re.compile(
    r"(?:(?P<kind>shape|log|list|calls) |error (?P<column>\w+) )?"
    r"(?P<amount>\d+(?:\.\d*)?(?:e-?\d+)?)"
)


@dataclass(frozen=True)
class Tolerance:
    """What may differ.

    Attributes
    ----------
    amount
        How much; what it means depends on the kind.
    kind
        `NUMBER`: two numbers agree when they differ by at most `amount`, or by that share of the
        deposited one where it is over 1.
        `LOG`: the same of their decimal logarithms, for probabilities and what spans decades.
        `ERROR`: they differ by at most `amount` times the standard error that the deposited row
        states in the column `error`, for shares of random draws.
        `LIST`: of the names joined by `;` in either, at most the share `amount` stands in one
        only; their order is not compared.
        `CALLS`: at most the share `amount` of the rows has another word, for calls of thousands of
        genes or cells, of which some lie at the limit.
        `SHAPE`: only the number of rows and how often each text occurs are compared, and counts
        agree when they differ by at most that share of all rows. So for coordinates of a map,
        whose single numbers carry no meaning.
    error
        Column of the standard error, for the kind `ERROR`.
    """

    amount: float = 0.0
    kind: str = NUMBER
    error: str = ""

    def allows(self, found: float, expected: float, *, error: float = math.nan) -> bool:
        """Return whether two numbers agree; two missing ones do, one missing does not."""
        if math.isnan(found) or math.isnan(expected):
            return math.isnan(found) and math.isnan(expected)
        if found == expected:
            return True
        if self.kind == LOG:
            if min(found, expected) <= 0:
                return False
            found, expected = math.log10(found), math.log10(expected)
        unit = error if self.kind == ERROR else max(1.0, abs(expected))
        # Both were printed with six digits, so that a limit of 0.01 must not fail for 1e-17.
        return abs(found - expected) <= self.amount * unit * (1 + 1e-9)

    def allows_names(self, found: str, expected: str) -> bool:
        """Return whether two texts agree: lists of names by what they share, others if equal."""
        if self.kind != LIST:
            return found == expected
        one, other = (set(filter(None, text.split(";"))) for text in (found, expected))
        return len(one ^ other) <= self.amount * len(one | other) * (1 + 1e-9)

    @property
    def by_shape(self) -> bool:
        """Whether key numbers count texts against the rows of their group."""
        return self.kind in (SHAPE, LIST, CALLS)

    def __str__(self) -> str:
        """Return the words that `parse_tolerance` reads."""
        return " ".join(filter(None, (self.kind, self.error, f"{self.amount:g}")))


def parse_tolerance(text: str, *, where: str) -> Tolerance:
    """Return the tolerance that a field names: ``0.02``, ``log 0.1``, ``error fdr_error 4``, …

    Parameters
    ----------
    where
        File and row, for the message.

    Raises
    ------
    InputProblem
        For any other text.
    """
    found = TEXT.fullmatch(text.strip())
    if found is None:
        raise InputProblem(
            f"{where}: tolerance {text!r} cannot be read; it is a number, a number after `shape`, "
            "`log`, `list` or `calls`, or `error`, the column of a standard error and a number"
        )
    kind = ERROR if found["column"] else found["kind"] or NUMBER
    return Tolerance(float(found["amount"]), kind, found["column"] or "")
