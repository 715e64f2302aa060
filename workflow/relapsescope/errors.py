"""The one exception that means: the user can mend this."""

import re
from collections import Counter
from collections.abc import Iterable

MOST_ALIKE = 20
"""Problems that differ in numbers and quoted words only, of which no more are told."""
VARIES = re.compile(r"'[^']*'|\"[^\"]*\"|\d+")


class InputProblem(Exception):
    """A problem in the user's input, with one message a problem.

    Parameters
    ----------
    problems
        Lines of the form ``samples.tsv:7 matrix: what is wrong; what to do``. Of very many
        alike the first are kept, and one line says how many more there are.
    """

    def __init__(self, *problems: str) -> None:
        self.problems = bounded(problems)
        super().__init__("\n".join(self.problems))


def bounded(lines: Iterable[str], most: int = MOST_ALIKE) -> list[str]:
    """Return the lines, of those that are alike the first `most` and how many more there are.

    Lines are alike when they differ in numbers and in quoted words only.
    """
    kept: list[str] = []
    times: Counter[str] = Counter()
    for line in lines:
        kind = VARIES.sub("#", line)
        times[kind] += 1
        if times[kind] <= most:
            kept.append(line)
    for kind, n in times.items():
        if n > most:
            last = next(line for line in reversed(kept) if VARIES.sub("#", line) == kind)
            kept.insert(kept.index(last) + 1, f"… and {n - most:,} more like the line above")
    return kept
