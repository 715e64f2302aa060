"""How often an antigen is seen in cells of each depth, and how often its reference would be."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from relapsescope.antigens.cell_groups import ALL_MALIGNANT
from relapsescope.antigens.molecules import Clones, Molecules
from relapsescope.antigens.references import GivenRates, reference_for
from relapsescope.antigens.settings import AntigenSettings
from relapsescope.antigens.tallies import DEPTH_EDGES
from relapsescope.statistics.rates import estimate

DETECTION_COLUMNS = (
    *("patient_id", "sample_id", "timepoint", "clone_id", "antigen", "stratum", "n_cells"),
    *("mean_exposure", "detected_fraction", "expected_fraction", "reference"),
)


def detection_rows(
    molecules: Molecules,
    clones: Clones,
    settings: AntigenSettings,
    outside: Sequence[GivenRates] = (),
) -> list[dict[str, Any]]:
    """Return a row a clone × antigen × depth stratum: detection seen and expected.

    Expected is the share of cells with a molecule if the clone expressed the reference's rate,
    its cells differing as the reference's do (negative binomial), with the stratum's ambient
    molecules on top. Dropout alone gives this curve.
    """
    rows = []
    for sample in molecules.own:
        library = molecules.libraries[sample]
        groups = [("clone", clone) for clone in molecules.clones(sample)]
        groups.append((ALL_MALIGNANT, ALL_MALIGNANT))
        for kind, clone in groups:
            for gene in dict.fromkeys([settings.car_target, *settings.genes]):
                reference = reference_for(
                    molecules,
                    clones,
                    sample,
                    clone,
                    gene,
                    limits=settings.reference,
                    outside=outside,
                )
                for stratum in range(len(DEPTH_EDGES) + 1):
                    one = molecules.tally(sample, kind, clone, gene, stratum)
                    if one.n_cells == 0:
                        continue
                    depth = one.exposure / one.n_cells
                    row = {
                        "patient_id": library.patient_id,
                        "sample_id": sample,
                        "timepoint": library.timepoint,
                        "clone_id": clone,
                        "antigen": gene,
                        "stratum": stratum,
                        "n_cells": one.n_cells,
                        "mean_exposure": depth,
                        "detected_fraction": molecules.number(
                            "detected", sample, kind, clone, gene, stratum=stratum
                        )
                        / one.n_cells,
                    }
                    if reference is not None:
                        base = reference.tally(molecules, gene)
                        mean = estimate(base) * depth / 1e6
                        size = 1 / max(base.dispersion, 1e-6)
                        absent = (1 + mean / size) ** -size * np.exp(-one.ambient / one.n_cells)
                        row |= {"expected_fraction": 1 - absent, "reference": reference.name}
                    rows.append(row)
    return rows
