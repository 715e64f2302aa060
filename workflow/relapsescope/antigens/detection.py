"""How often an antigen is seen in cells of each depth, and how often its reference would be."""

from typing import Any

import numpy as np

from relapsescope.antigens.records import Counted, Kind
from relapsescope.antigens.references import MALIGNANT_KEY, Cohort, reference_for
from relapsescope.antigens.tallies import DEPTH_EDGES
from relapsescope.statistics.rates import estimate

DETECTION_COLUMNS = (
    *("patient_id", "sample_id", "timepoint", "clone_id", "antigen", "stratum", "n_cells"),
    *("mean_exposure", "detected_fraction", "expected_fraction", "reference"),
)


def detection_rows(cohort: Cohort) -> list[dict[str, Any]]:
    """Return a row a clone × antigen × depth stratum: detection seen and expected.

    Expected is the share of cells with a molecule if the clone expressed the reference's rate,
    its cells differing as the reference's do (negative binomial), with the stratum's ambient
    molecules on top. Dropout alone gives this curve.
    """
    molecules, settings = cohort.molecules, cohort.settings
    rows = []
    for sample in molecules.own:
        library = molecules.libraries[sample]
        groups = [(Kind.CLONE, clone) for clone in molecules.clones(sample)]
        groups.append(MALIGNANT_KEY)
        for kind, clone in groups:
            for gene in dict.fromkeys([settings.car_target, *settings.genes]):
                reference = reference_for(
                    molecules,
                    cohort.clones,
                    sample,
                    clone,
                    gene,
                    limits=settings.reference,
                    outside=cohort.outside,
                )
                for stratum in range(len(DEPTH_EDGES) + 1):
                    group = molecules.tally(sample, kind, clone, gene, stratum=stratum)
                    if group.n_cells == 0:
                        continue
                    counted = Counted(sample, kind, clone, gene, stratum=stratum)
                    seen = molecules.number("detected", counted)
                    depth = group.exposure / group.n_cells
                    row = {
                        "patient_id": library.patient_id,
                        "sample_id": sample,
                        "timepoint": library.timepoint,
                        "clone_id": clone,
                        "antigen": gene,
                        "stratum": stratum,
                        "n_cells": group.n_cells,
                        "mean_exposure": depth,
                        "detected_fraction": seen / group.n_cells,
                    }
                    if reference is not None:
                        reference_tally = reference.tally(molecules, gene)
                        mean = estimate(reference_tally) * depth / 1e6
                        size = 1 / max(reference_tally.dispersion, 1e-6)
                        absent = (1 + mean / size) ** -size * np.exp(-group.ambient / group.n_cells)
                        row |= {"expected_fraction": 1 - absent, "reference": reference.name}
                    rows.append(row)
    return rows
