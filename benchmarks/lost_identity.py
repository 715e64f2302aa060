r"""How many cells that lost a plasma cell's identity are brought back, and how many others.

    relapsescope simulate COHORT --seed 51 --plan benchmarks/plans/lost_identity.yaml
    snakemake --workflow-profile workflow/profiles/default --cores 2 \
        --config samples=COHORT/samples.tsv clinical= results=RUN -- RUN/tables/clones.tsv
    python benchmarks/lost_identity.py RUN COHORT --output TABLE.md

Power: of the relapse's cells without identity only 20, 50 or 100 are left among the candidates.
Nulls: each patient's clone is looked for among the candidates of every other library, and among
cells of other lineages taken for `Unknown` (their own type is then unknown to the search too), of
other patients and of the patient's own libraries, whose ambient RNA holds the clone's.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "workflow"))

from relapsescope.clones.copy_number import arm_map, normal_floor  # noqa: E402
from relapsescope.clones.immunoglobulin import call_immunoglobulin  # noqa: E402
from relapsescope.clones.lost_identity import find_lost_identity  # noqa: E402
from relapsescope.clones.malignancy import call_malignancy  # noqa: E402
from relapsescope.clones.normal_panel import read_panel  # noqa: E402
from relapsescope.clones.patient_cells import patient_cells  # noqa: E402
from relapsescope.clones.patient_clones import clone_settings, concatenate  # noqa: E402
from relapsescope.clones.plasma_cells import (  # noqa: E402
    Candidates,
    common_genes,
    gene_space,
    library_files,
    read_plasma_library,
)
from relapsescope.run.config_file import default_values  # noqa: E402
from relapsescope.vocabulary import CELL_TYPES  # noqa: E402

SIZES = (20, 50, 100)
FILES = ("counts.h5", "cells.parquet", "genes.parquet", "library.json")
LEFT_OUT = ("T", "NK", "Monocyte", "Erythroid", "Granulocyte", "HSPC", "cDC", "pDC", "B")


class Cohort:
    """A run's libraries over the genes that all of them have, and the truth."""

    def __init__(self, run: Path, folder: Path) -> None:
        self.run = run
        self.sheet = pd.read_csv(folder / "samples.tsv", sep="\t", dtype=str, keep_default_na=False)
        truth = pd.read_parquet(folder / "truth/cells.parquet")
        live = (truth["quality"] == "live") & ~truth["doublet"].astype(bool)
        truth["lost"] = truth["identity_lost"].astype(bool) & live
        truth["single"] = live
        self.truth = truth.set_index(["sample_id", "barcode"])
        config = default_values()
        self.settings = clone_settings(config)
        files = self.files(self.sheet)
        self.gene_ids = common_genes(files)
        self.libraries = {
            str(one.row["sample_id"]): read_plasma_library(one, self.gene_ids) for one in files
        }
        self.lineages = {
            lineage: {
                str(one.row["sample_id"]): read_plasma_library(one, self.gene_ids, lineage=lineage)
                for one in files
            }
            for lineage in LEFT_OUT
        }
        self.space = gene_space(self.gene_ids, judged=self.settings.judged)
        self.panel = read_panel(run / "clones/normal_plasma.npz")

    def files(self, rows: pd.DataFrame) -> list:
        """Return the files of some rows of the sheet."""
        paths = [[str(self.run / "libraries" / s / n) for s in rows["sample_id"]] for n in FILES]
        return library_files(rows.to_dict("records"), *paths)


class Patient:
    """One patient's clone as the workflow calls it, to be looked for in any library."""

    def __init__(self, cohort: Cohort, name: str) -> None:
        self.cohort, self.name = cohort, name
        rows = cohort.sheet[cohort.sheet["patient_id"] == name]
        self.own = [cohort.libraries[s] for s in rows["sample_id"]]
        space, settings = cohort.space, cohort.settings
        calls = [
            call_immunoglobulin(
                one.counts,
                space.symbols,
                ambient_umi=one.ambient_umi,
                ambient=one.ambient,
                settings=settings.immunoglobulin,
            )
            for one in self.own
        ]
        panel = cohort.panel.without(name)
        shared = set(cohort.gene_ids[space.used]).intersection(panel.gene_ids)
        ids = cohort.gene_ids
        self.columns = np.array([i for i, gene in enumerate(ids) if gene in shared])
        panel = panel.on(ids[self.columns])
        self.arms = arm_map(space.arms[self.columns])
        self.floor = normal_floor(panel, self.arms, settings=settings.copy_number)
        used = [one.over(self.columns) for one in self.own]
        self.malignancy = call_malignancy(
            patient_cells(used, panel, self.arms),
            concatenate(calls),
            panel,
            evaluable=True,
            floor=self.floor,
            ig_settings=settings.immunoglobulin,
            cn_settings=settings.copy_number,
            settings=settings.clones,
        )

    def search(self, others: list) -> pd.DataFrame:
        """Return the candidates of some libraries with their probabilities."""
        bare = [
            replace(
                one,
                counts=one.counts[:0],
                barcodes=one.barcodes[:0],
                ambient_umi=one.ambient_umi[:0],
            )
            for one in others
        ]
        learned = [replace(one, candidates=None) for one in self.own]
        libraries = [*learned, *bare]
        used = [one.over(self.columns) for one in libraries]
        cells = patient_cells(used, self.malignancy.panel, self.arms)
        settings = self.cohort.settings
        found = find_lost_identity(
            libraries,
            used,
            self.cohort.space.symbols,
            cells,
            self.malignancy,
            evaluable=True,
            floor=self.floor,
            cn_settings=settings.copy_number,
            settings=settings.clones,
        )
        sample = [libraries[i].sample_id for i in found.library]
        barcode = [
            libraries[i].candidates.barcodes[k]
            for i, k in zip(found.library, found.index, strict=True)
        ]
        back = found.found(settings.clones.lost_identity_probability)
        table = pd.DataFrame({"sample_id": sample, "barcode": barcode, "back": back})
        return table.join(self.cohort.truth, on=["sample_id", "barcode"], rsuffix="_true")


def as_unknown(cohort: Cohort, sample: str, lineage: str):
    """Return a library whose cells of a lineage are its candidates, and no type of its own."""
    cells, library = cohort.lineages[lineage][sample], cohort.libraries[sample]
    own = CELL_TYPES.get(lineage, (lineage,))
    background = {kind: sums for kind, sums in library.background.items() if kind not in own}
    n = len(cells.barcodes)
    unknown = np.full(n, "Unknown", dtype=object)
    candidates = Candidates(cells.barcodes, unknown, cells.ambient_umi, cells.counts)
    return replace(library, background=background, candidates=candidates), own


def without_types(patient: Patient, kinds: tuple[str, ...]) -> Patient:
    """Return the patient judged with a panel that does not know some cell types."""
    panel = patient.malignancy.panel
    kept = ~np.isin(panel.types.astype(str), kinds)
    panel = replace(panel, types=panel.types[kept], background=panel.background[kept])
    twin = object.__new__(Patient)
    twin.__dict__ = patient.__dict__ | {"malignancy": replace(patient.malignancy, panel=panel)}
    return twin


def power(patient: Patient, repeats: int) -> list[str]:
    """Return the rows of one patient: share brought back by the number of cells."""
    relapse = next((one for one in patient.own if one.timepoint == "relapse"), None)
    if relapse is None:
        return []
    candidates = relapse.candidates
    keys = [(relapse.sample_id, name) for name in candidates.barcodes]
    lost = patient.cohort.truth.loc[keys, "lost"].to_numpy(bool)
    rng, rows = np.random.default_rng(1), []
    for size in SIZES:
        if lost.sum() < size:
            continue
        share, wrong = [], 0
        for _ in range(repeats):
            chosen = rng.choice(np.flatnonzero(lost), size, replace=False)
            kept = np.sort(np.concatenate([chosen, np.flatnonzero(~lost)]))
            some = Candidates(
                candidates.barcodes[kept],
                candidates.lineage[kept],
                candidates.ambient_umi[kept],
                candidates.counts[kept],
            )
            found = patient.search([replace(relapse, candidates=some)])
            share.append(found.loc[found["lost"], "back"].mean())
            wrong += int((found["back"] & ~found["malignant"].astype(bool) & found["single"]).sum())
        rows.append(
            f"| {patient.name} | {size} | {100 * np.mean(share):.0f} % ({100 * min(share):.0f} to "
            f"{100 * max(share):.0f} %) | {wrong} |"
        )
    return rows


def main() -> None:
    """Write the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    cohort = Cohort(arguments.run, arguments.cohort)
    tumours = cohort.truth[cohort.truth["malignant"].astype(bool)]["patient_id"].unique()
    patients = [Patient(cohort, str(name)) for name in tumours]
    lines = [
        "| patient | cells | brought back | other single cells brought back |",
        "|---|---|---|---|",
    ]
    for patient in patients:
        lines += power(patient, arguments.repeats)
    lines += ["", "| searched | cells | brought back |", "|---|---|---|"]
    others = {"Unknown": [0, 0], "B": [0, 0], "Unknown, malignant": [0, 0]}
    for patient in patients:
        away = [one for one in cohort.libraries.values() if one.patient_id != patient.name]
        found = patient.search(away)
        place = [one.candidates.lineage for one in away if len(one.candidates.barcodes)]
        found["lineage_called"] = np.concatenate(place)
        found.loc[(found["lineage_called"] == "Unknown") & found["malignant"], "lineage_called"] = (
            "Unknown, malignant"
        )
        for name, own in found.groupby("lineage_called"):
            others[name][0] += len(own)
            others[name][1] += int(own["back"].sum())
    for name, (n, back) in others.items():
        lines.append(f"| other patients' candidates: {name} | {n:,} | {back} |")
    for lineage in LEFT_OUT:
        tally = np.zeros((2, 2), dtype=int)
        for patient in patients:
            named = [as_unknown(cohort, s, lineage) for s in cohort.libraries]
            twin = without_types(patient, named[0][1])
            found = twin.search(
                [library for library, _ in named if len(library.candidates.barcodes)]
            )
            found = found[found["single"] & ~found["malignant"].astype(bool)]
            own = (found["patient_id"] == patient.name).to_numpy()
            for k, here in enumerate((own, ~own)):
                tally[k] += [int(here.sum()), int(found.loc[here, "back"].sum())]
        for k, whose in enumerate(("the patient's own", "other people's")):
            lines.append(
                f"| {whose} {lineage} as an unknown type | {tally[k, 0]:,} | {tally[k, 1]} |"
            )
    arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
