"""False EXHAUSTED on real libraries: T cells taken for CAR-T cells at random.

    python benchmarks/exhaustion_labels.py RESULTS SAMPLE_EARLIER SAMPLE_LATER [--labels 200]

RESULTS is a finished run. In two libraries of one patient some T cells are drawn to stand for CAR-T
cells; whatever the libraries differ in (tissue, depth, ambient RNA, composition, the patient's T
cells themselves), these have changed no more than the others. With `--effector` the later ones are
drawn among the cells of high effector function, the earlier ones at random.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "workflow"))

from relapsescope.car_t.cells import common_genes  # noqa: E402
from relapsescope.car_t.exhaustion_rows import PatientScores, effect_rows  # noqa: E402
from relapsescope.car_t.settings import ExhaustionSettings  # noqa: E402
from relapsescope.intake.fragments import read_fragment  # noqa: E402
from relapsescope.libraries.signatures import (  # noqa: E402
    largest_scores,
    rank_contributions,
    read_signatures,
    set_weights,
)
from relapsescope.run.config_file import default_values  # noqa: E402
from relapsescope.settings import settings_of  # noqa: E402
from relapsescope.t_cells.scores import ScoredLibrary, clean_sets, strata_of  # noqa: E402
from relapsescope.t_cells.settings import ScoreSettings  # noqa: E402
from relapsescope.tables import read_columns  # noqa: E402

CONFIG = default_values()
SETTINGS = settings_of(ExhaustionSettings, CONFIG["exhaustion"], name="exhaustion")
SCORES = settings_of(ScoreSettings, CONFIG["t_cell_scores"], name="t_cell_scores")
SHIPPED = read_signatures()
SETS = clean_sets([s for s in SHIPPED.values() if s.role != "cell_cycle"], SCORES.set_aside)


class Library:
    """One library's T cells with what each gene adds to each cell's scores."""

    def __init__(self, folder: Path, gene_ids: np.ndarray) -> None:
        counts = read_fragment(folder / "counts.h5", gene_ids=gene_ids)
        cells = read_columns(folder / "cells.parquet", ["lineage", "qc_pass", "cell_type"])
        t_cell = (cells["lineage"].astype(str) == "T") & cells["qc_pass"].astype(bool)
        rows = np.flatnonzero(t_cell)
        total = np.zeros((len(rows), len(gene_ids)), dtype=np.float32)
        for draw in range(SCORES.draws):
            for at, block in rank_contributions(counts, rows=rows, depth=SCORES.depth, seed=draw):
                total[at] += (block.extra.toarray() + block.base[:, None]) / SCORES.draws
        kept = np.isfinite(total[:, 0])
        self.areas = total[kept]
        self.stratum = strata_of(cells["cell_type"][rows][kept])
        weights = set_weights(counts.symbols, SETS)
        self.scores = self.areas @ weights / largest_scores(weights)
        self.symbols = counts.symbols

    def labelled(self, chosen: np.ndarray) -> ScoredLibrary:
        """Return the library with `chosen` cells as CAR-T cells."""
        status = np.where(chosen, "detected", "not_detected")
        groups = list(zip(status, self.stratum, strict=True))
        names = tuple(sorted(set(groups)))
        number = np.array([names.index(group) for group in groups])
        means, halves = [], []
        for group in range(len(names)):
            own = self.areas[number == group]
            means.append(own.mean(axis=0))
            parts = own[::2].mean(axis=0), own[1::2].mean(axis=0) if len(own) > 1 else np.nan
            halves.append((parts[0] - parts[1]) / 2)
        sizes = np.bincount(number, minlength=len(names)).astype(float)
        return ScoredLibrary(self.scores, number, names, sizes, np.array(means), np.array(halves))


def main() -> None:
    """Print how often each verdict is given."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("earlier")
    parser.add_argument("later")
    parser.add_argument("--labels", type=int, default=200)
    parser.add_argument("--cells", type=int, default=40)
    parser.add_argument("--effector", action="store_true")
    wanted = parser.parse_args()
    folders = [wanted.results / "libraries" / n for n in (wanted.earlier, wanted.later)]
    gene_ids, symbols = common_genes([str(folder / "genes.parquet") for folder in folders])
    libraries = [Library(folder, gene_ids) for folder in folders]
    rows = [
        {"patient_id": "P", "sample_id": name, "timepoint": timepoint, "day": day}
        | {"tissue": "bone_marrow", "sorting": "none"}
        for name, timepoint, day in (
            (wanted.earlier, "expansion", 1),
            (wanted.later, "relapse", 2),
        )
    ]
    effector = [one.name for one in SETS].index("effector")
    found = dict.fromkeys(("EXHAUSTED", "INDETERMINATE", "NOT_EXHAUSTED"), 0)
    for seed in range(wanted.labels):
        rng = np.random.default_rng(seed)
        scored = []
        for later, library in enumerate(libraries):
            n = len(library.stratum)
            pool = np.arange(n)
            if later and wanted.effector:
                pool = np.argsort(-library.scores[:, effector])[: n // 4]
            chosen = np.zeros(n, dtype=bool)
            chosen[rng.choice(pool, min(wanted.cells, len(pool) - 1), replace=False)] = True
            scored.append(library.labelled(chosen))
        genes = frozenset(gene for one in SHIPPED.values() for gene in one.symbols)
        patient = PatientScores(rows, scored, symbols, SETS, genes)
        own = [
            row
            for row in effect_rows(patient, SETTINGS, seed=seed)
            if row["sample_id"] == wanted.later and row["population"] == "car_detected"
        ]
        found[own[0]["exhaustion_verdict"]] += 1
    print(json.dumps({"cells": [len(one.stratum) for one in libraries]} | found))


if __name__ == "__main__":
    main()
