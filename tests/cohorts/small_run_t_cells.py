"""Tables of the T cells of the small run, as the workflow would leave them."""

from relapsescope.t_cells.car_clones import COLUMNS as CAR_CLONE_COLUMNS
from relapsescope.t_cells.clonotype_tables import CLONOTYPE_COLUMNS, RECEPTOR_COLUMNS
from relapsescope.t_cells.composition import COLUMNS as STATE_COLUMNS
from relapsescope.t_cells.files import t_cell_paths
from relapsescope.t_cells.measures import COLUMNS as MEASURE_COLUMNS
from relapsescope.tables import write_tsv

PLACE = {"patient_id": "P1", "sorting": "none"}
SAMPLES = (("P1_pre", "pre_infusion"), ("P1_relapse", "relapse"))


def write_t_cells(results, *, hostile=""):
    """Write the tables; `hostile` stands for words of a table."""
    rows = t_cell_rows(hostile)
    columns = {
        "clonotypes": CLONOTYPE_COLUMNS,
        "receptors": RECEPTOR_COLUMNS,
        "t_cell_states": STATE_COLUMNS,
        "t_cell_measures": MEASURE_COLUMNS,
        "car_clones": CAR_CLONE_COLUMNS,
    }
    for name, path in t_cell_paths(results).items():
        write_tsv(type(results)(path), columns[name], rows[name])


def t_cell_rows(hostile=""):
    """Return two samples of one patient, and one of another whose contigs cannot be used."""
    limits = {"fraction_ci_low": 0.02, "fraction_ci_high": 0.6}
    clonotypes = [
        PLACE
        | limits
        | {"clonotype_id": name, "sample_id": sample, "timepoint": timepoint}
        | {"n_cells": n, "n_clonotype_cells": 20, "fraction": n / 20, "expanded": n > 1}
        | {"state": "cytotoxic" if n else None, "n_car_detected": 1 if n > 2 else 0}
        | {"cdr3_first": hostile or "CAVF", "cdr3_second": "CASF", "cell_type": "CD8 T"}
        for name, cells in (("T1", (2, 6)), ("T2", (4, 0)))
        for (sample, timepoint), n in zip(SAMPLES, cells, strict=True)
    ]
    receptors = [
        PLACE
        | {"sample_id": sample, "timepoint": timepoint, "population": "T", "assessable": True}
        | {
            "n_t_cells": 30,
            "n_with_receptor": 20,
            "n_clonotype_cells": 20,
            "n_clonotypes": 9,
            "clonality": 0.1,
        }
        | {"clonality_ci_low": 0.05, "clonality_ci_high": 0.2, "clonality_common": 0.1}
        | {"expanded_fraction": 0.3, "expanded_ci_low": 0.1, "expanded_ci_high": 0.5}
        | {"top_clonotype": "T1", "top_fraction": 0.3, "top_ci_low": 0.1, "top_ci_high": 0.5}
        for sample, timepoint in SAMPLES
    ]
    unusable = {"patient_id": "P2", "sample_id": "P2_bad", "timepoint": "relapse"}
    unusable |= {"population": "T", "assessable": False, "reason": hostile or "c.csv: is empty"}
    states = [
        PLACE
        | limits
        | {"sample_id": "P1_relapse", "timepoint": "relapse", "population": population}
        | {"state": state, "n_cells": 10, "n_state": n, "fraction": n / 10}
        for population in ("T", "car_detected")
        for state, n in (("cytotoxic", 7), ("undetermined", 3), ("MAIT", 0))
    ]
    measures = [
        PLACE
        | limits
        | {"sample_id": "P1_relapse", "timepoint": "relapse", "population": "T"}
        | {"measure": "cd4_cytotoxic", "n_cells": 40, "n_found": 9, "fraction": 0.225}
        | {"source": hostile or "Ledergor 2024"}
    ]
    car_clones = [
        PLACE
        | {"sample_id": "P1_relapse", "timepoint": "relapse", "clonotype_id": hostile or "T1"}
        | {"cell_type": "CD8 T", "n_cells": 40, "n_car_detected": 30, "n_clonotype_cells": 80}
        | {"fraction": 0.5, "fraction_ci_low": 0.38, "fraction_ci_high": 0.61, "in_product": True}
        | {"growth": 4.0, "growth_ci_low": 2.0, "growth_ci_high": 9.0, "compared_with": "P1_pre"}
        | {"verdict": "EXPANDED", "reason": "50.0 % of the T cells with a clonotype"}
    ]
    return {
        "car_clones": car_clones,
        "t_cell_measures": measures,
        "clonotypes": clonotypes,
        "receptors": [*receptors, unusable],
        "t_cell_states": states,
    }
