"""Did an antigen go with the whole programme of a plasma cell, or alone?"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from relapsescope.antigens.cell_groups import ALL_MALIGNANT
from relapsescope.antigens.molecules import Clones, Identity
from relapsescope.antigens.verdicts import percent
from relapsescope.vocabulary import LOST, REDUCED

WITH_PROGRAMME, BEYOND_PROGRAMME, SELECTIVE = "with_programme", "beyond_programme", "selective"
WORDS = {
    WITH_PROGRAMME: "it went with the programme of a plasma cell",
    BEYOND_PROGRAMME: "it fell further than the programme of a plasma cell did",
    SELECTIVE: "it went alone, not with the programme of a plasma cell",
}


def identity_of(clones: Clones, names: Sequence[str], sample: str, clone: str) -> Identity | None:
    """Return what is left of the identity of a clone, or of all malignant cells, in a library.

    All malignant cells have a programme of their own where they are one clone; of several the
    cells that lost it are counted.
    """
    if clone != ALL_MALIGNANT:
        return clones.identity.get((sample, clone))
    found = [clones.identity[sample, name] for name in names if (sample, name) in clones.identity]
    if len(found) == 1:
        return found[0]
    if not found:
        return None
    sums = sum(part.n_lost for part in found), sum(part.n_cells for part in found)
    return Identity(*sums, np.nan, np.nan, np.nan)


def identity_loss(row: Mapping[str, Any], identity: Identity, reduced_below: float) -> str:
    """Return how a lost or reduced antigen stands to the programme, "" where neither is shown.

    `selective` where the programme's whole interval is that of an antigen that is kept
    (`reduced_below` and over). Where the programme is reduced itself, `beyond_programme` if the
    antigen's interval lies below the programme's, else `with_programme`.
    """
    if row["verdict"] not in (LOST, REDUCED) or not np.isfinite(identity.ratio):
        return ""
    if identity.low >= reduced_below:
        return SELECTIVE
    if identity.high >= reduced_below:
        return ""
    return BEYOND_PROGRAMME if row["ratio_ci_high"] < identity.low else WITH_PROGRAMME


def identity_words(row: Mapping[str, Any], identity: Identity) -> str:
    """Return what is to be said of the cells' identity beside an antigen's verdict, if anything."""
    words = []
    if identity.n_lost:
        cells = f"{identity.n_lost} of the clone's {identity.n_cells} cells"
        words.append(
            f"{cells} no longer show a plasma cell's markers and were told by the clone's own "
            "immunoglobulin, arms and genes"
        )
    if row.get("identity_loss"):
        words.append(
            f"{WORDS[row['identity_loss']]}, of which {percent(identity.ratio)} is left (95 % "
            f"interval {percent(identity.low)} to {percent(identity.high)})"
        )
    return "; ".join(words)
