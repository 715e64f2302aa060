"""Count matrices of any supported kind, read into counts by Ensembl ID."""

from pathlib import Path

from relapsescope.counts import Counts, FeatureBlock, refuse
from relapsescope.identity import identify_counts, likely_transgenes
from relapsescope.tenx import read_h5

__all__ = ["Counts", "FeatureBlock", "likely_transgenes", "read_counts"]


def read_counts(path: str | Path, *, genome: str | None = None) -> Counts:
    """Return the counts of a library from a 10x ``.h5``, a 10x folder or an ``.h5ad``.

    Parameters
    ----------
    path
        The file or folder.
    genome
        Which genome of a Cell Ranger 2 file with several; default the human one.

    Raises
    ------
    InputProblem
        Where the file is missing, damaged, of another kind, or holds no human gene counts.
    """
    path = Path(path)
    if path.suffix == ".h5":
        return identify_counts(path, read_h5(path, genome=genome))
    refuse(path, "not a kind of file that can be read", "give a 10x .h5, a 10x folder or .h5ad")
