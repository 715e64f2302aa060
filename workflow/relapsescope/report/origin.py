"""What a page is of: which cohort, made from which sheet by which code. No dates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SIMULATED = "SIMULATED"
TRUTH = Path("truth") / "samples.tsv"
"""What the simulator writes beside the matrices of its libraries (`simulate.cohort`)."""
SHORT_HASH = 12


@dataclass(frozen=True)
class Origin:
    """What every page says of itself.

    Attributes
    ----------
    title
        The cohort's name, `report.title` of the configuration; may be empty.
    simulated
        How many of the cohort's libraries the simulator made.
    n_libraries
        How many libraries the cohort has.
    commit, sheet_sha256
        Of the code and the sample sheet; empty where they are not known.
    """

    title: str = ""
    simulated: int = 0
    n_libraries: int = 0
    commit: str = ""
    sheet_sha256: str = ""

    @property
    def cohort(self) -> str:
        """What the cohort is called, and that it is no patient's where it was simulated."""
        if not self.simulated:
            return self.title
        made = SIMULATED
        if self.simulated < self.n_libraries:
            made = f"{SIMULATED}: {self.simulated} of {self.n_libraries} libraries"
        return f"{self.title} ({made})" if self.title else f"{made} cohort"

    @property
    def made_from(self) -> str:
        """Code and sheet in short, as the end of a page and of its printed sheets says them."""
        commit, _, dirty = self.commit.partition("-")
        parts = []
        if commit:
            changed = " with uncommitted changes" if dirty else ""
            parts.append(f"commit {commit[:SHORT_HASH]}{changed}")
        if self.sheet_sha256:
            parts.append(f"sample sheet {self.sheet_sha256[:SHORT_HASH]} (SHA-256)")
        return ", ".join(parts)


def origin_of(
    title: str, rows: Sequence[Mapping[str, Any]], *, commit: str = "", sheet_sha256: str = ""
) -> Origin:
    """Return what pages of a cohort say of themselves.

    Parameters
    ----------
    rows
        The sheet's rows; those whose matrix lies in a folder of the simulator are counted.
    """
    simulated = sum(is_simulated(row.get("matrix")) for row in rows)
    return Origin(title, simulated, len(rows), commit, sheet_sha256)


def is_simulated(matrix: str | None) -> bool:
    """Return whether a matrix lies where the simulator writes: its truth is two folders up."""
    if not matrix:
        return False
    path = Path(matrix)
    library, matrices = path.parent, path.parent.parent
    truth = matrices.parent / TRUTH
    if matrices.name != "matrices" or not truth.is_file():
        return False
    lines = truth.read_text(encoding="utf-8").splitlines()
    return any(library.name in line.split("\t") for line in lines)
