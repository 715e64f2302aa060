"""Null and power of what stands beside RNA: aplasia, genetics, soluble BCMA, contrasts.

    python benchmarks/evidence_nulls.py --patients 1000 --parts aplasia --output TABLE.md

Patients are drawn at the layer of counts and table rows; no marrow is simulated.
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from relapsescope.course.genetics import target_genetics
from relapsescope.course.settings import CourseSettings
from relapsescope.mechanisms.aplasia import aplasia_rows
from relapsescope.mechanisms.beside import soluble_bcma
from relapsescope.mechanisms.cited import Row
from relapsescope.mechanisms.patient_contrasts import DURABLE, EARLY, contrast_rows
from relapsescope.mechanisms.settings import ContrastSettings
from relapsescope.run.config_file import default_values
from relapsescope.settings import settings_of

# Between libraries of one marrow, log scale: what the draws have, and what the table says.
TRUE_SD, SAID_SD = 0.3, 0.2
NORMAL_SHARE, TUMOUR_SHARE, UNCALLED = 0.03, 0.2, 0.1
SHEET = [
    {"patient_id": "P", "sample_id": sample, "timepoint": sample, "tissue": "bone_marrow"}
    for sample in ("pre_infusion", "relapse")
]
COURSE = CourseSettings()
CONFIG = default_values()
CONTRASTS = settings_of(ContrastSettings, CONFIG["contrasts"], name="contrasts")


def aplasia(patients: int, rng: np.random.Generator) -> Iterator[tuple[str, Counter]]:
    """Yield verdicts by the true ratio of normal plasma cells and the cells a library."""
    for cells in (1500, 5000):
        for ratio in (1.0, 0.3, 0.1, 0.03, 0.0):
            told = Counter(_aplasia(cells, ratio, rng) for _ in range(patients))
            yield f"aplasia: {cells:,} cells, true ratio {ratio:g}", told


def _aplasia(cells: int, ratio: float, rng: np.random.Generator) -> str:
    tables = {"microenvironment": [], "clones": [], "anxa1": [], "antigens": [], "course": []}
    for sample, factor in (("pre_infusion", 1.0), ("relapse", ratio)):
        share = NORMAL_SHARE * factor * np.exp(rng.normal(0, TRUE_SD))
        tumour = rng.binomial(cells, TUMOUR_SHARE)
        normal = rng.binomial(cells - tumour, min(1.0, share))
        called = rng.binomial(normal, 1 - UNCALLED)
        own = {"sample_id": sample}
        made = {
            "microenvironment": {"cell_type": "Plasma", "n_cells": tumour + normal}
            | {"n_total": cells, "library_sd": SAID_SD},
            "clones": {"n_malignant": tumour},
            "anxa1": {"compartment": "normal_plasma", "n_cells": called},
        }
        for name, row in made.items():
            tables[name].append(Row(name, {k: str(v) for k, v in (own | row).items()}))
    (row,) = aplasia_rows(tables, SHEET, below=COURSE.aplasia_below)
    return row["verdict"]


def genetics(patients: int, rng: np.random.Generator) -> Iterator[tuple[str, Counter]]:
    """Yield states by what is true of the gene, where a laboratory reports a hit nine in ten."""
    deletion = {"event": "deletion", "hgvs_p": "", "assay": "FISH"}
    stop = {"event": "mutation", "hgvs_p": "p.Gln38*", "assay": "WES"}
    changed = {"event": "mutation", "hgvs_p": "p.Arg27Pro", "assay": "WES"}
    silent = {"event": "mutation", "hgvs_p": "p.Arg27=", "assay": "WES"}
    truths = {
        "no hit": (),
        "silent change": (silent,),
        "one deletion": (deletion,),
        "deletion and stop": (deletion, stop),
        "epitope changed": (changed,),
    }
    rest = {"gene_or_arm": "TNFRSF17", "day": "300", "vaf_or_share": "", "note": ""}
    read = {"event": "none", "hgvs_p": "", "assay": "WES"}
    for name, hits in truths.items():
        told = Counter()
        for _ in range(patients):
            seen = [hit for hit in hits if rng.random() < 0.9] or [read]
            told[target_genetics([rest | hit for hit in seen], "TNFRSF17").state] += 1
        yield f"genetics: {name}", told


def soluble(patients: int, rng: np.random.Generator) -> Iterator[tuple[str, Counter]]:
    """Yield what soluble BCMA says by verdict and the share of the disease that keeps BCMA."""
    for verdict, kept in (("RETAINED", 1.0), ("LOST", 0.0), ("LOST", 0.3), ("RETAINED", 0.0)):
        told = Counter()
        for _ in range(patients):
            before = 100 * np.exp(rng.normal(0, 0.6))
            # Disease comes back to about half of what it was; assays and people vary.
            now = before * 0.5 * np.exp(rng.normal(0, 0.5)) * (0.02 + 0.98 * kept)
            told[soluble_bcma(_visited(before, now), verdict).says or "silent"] += 1
        yield f"soluble BCMA: {verdict}, {100 * kept:g} % of the disease keeps BCMA", told


def _visited(before: float, now: float) -> SimpleNamespace:
    values = ((-7, before), (300, now))
    names = ("day", "soluble_bcma_ng_ml")
    rows = [
        Row("assessments", dict(zip(names, map(str, one), strict=True), patient_id="P", line="1"))
        for one in values
    ]
    return SimpleNamespace(
        target="TNFRSF17",
        course=COURSE,
        relapse_day=300.0,
        car_line=None,
        tables={"assessments": rows, "course": []},
    )


def contrasts(patients: int, rng: np.random.Generator) -> Iterator[tuple[str, Counter]]:
    """Yield what cohorts say where one of the measures differs by so many standard deviations."""
    names = CONTRASTS.measures
    for size in (5, 6, 8):
        for shift in (0.0, 2.0, 3.0):
            told = Counter()
            for _ in range(patients // 10):
                rows = [
                    {"patient_id": f"{group}{i}", "measure": name, "outcome": group, "value": value}
                    for name in names
                    for group, by in ((EARLY, shift * (name == names[0])), (DURABLE, 0.0))
                    for i, value in enumerate(rng.normal(by, 1.0, size))
                ]
                found = {row["measure"]: row["verdict"] for row in contrast_rows(rows, CONTRASTS)}
                told[f"the measure {found.pop(names[0])}"] += 1
                told["another DIFFERENT"] += "DIFFERENT" in found.values()
            yield f"contrast: {size} against {size} patients, {shift:g} standard deviations", told


PARTS = {one.__name__: one for one in (aplasia, genetics, soluble, contrasts)}


def main() -> None:
    """Write a table with a row a kind of patient and how many had each answer."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--patients", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=31)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--output", type=Path, required=True)
    wanted = parser.parse_args()
    rng = np.random.default_rng(wanted.seed)
    lines = ["| what is true | answers |", "|---|---|"]
    for part in wanted.parts:
        for name, told in PARTS[part](wanted.patients, rng):
            words = ", ".join(f"{word or 'unknown'} {n:,}" for word, n in told.most_common())
            lines.append(f"| {name} | {words} |")
    wanted.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
