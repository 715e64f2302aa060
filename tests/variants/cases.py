"""Run every case of ``../shared/cases`` whole; compare with what its ``expect.md`` says is right.

    python tests/variants/cases.py --work FOLDER [--only ID]

Prints a line a case, with what came of it; skips where the cases are not there. The exit status is
1 where one is wrong. The jobs run in this process (`jobs.py`).
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
SHARED = REPOSITORY.parent / "shared" / "cases"
sys.path[:0] = [str(HERE), str(REPOSITORY / "workflow")]

from jobs import run_jobs  # noqa: E402
from relapsescope.errors import InputProblem  # noqa: E402
from relapsescope.run.check import check_inputs  # noqa: E402
from relapsescope.simulate import simulate_cohort  # noqa: E402
from whole import different  # noqa: E402

RELAPSE = "P1_relapse"
# The made pool's droplets are of two libraries, of which one holds less ambient RNA.
POOLED = 0.02


@dataclass(frozen=True)
class Ran:
    """A case that was run, and the plain cohort beside it."""

    place: Path
    plain: Path
    problems: list[str]
    warnings: list[str]

    def table(self, name: str) -> pd.DataFrame:
        """Return a table of results."""
        return pd.read_csv(self.place / f"results/tables/{name}.tsv", sep="\t")

    def antigen(self, gene: str, sample: str = RELAPSE) -> pd.Series:
        """Return an antigen's row of all malignant cells."""
        found = self.table("antigens").set_index(["sample_id", "clone_id", "antigen"])
        return found.loc[(sample, "all_malignant", gene)]

    def summary(self, sample: str = RELAPSE, *, plain: bool = False) -> dict:
        """Return what the library's job said."""
        folder = self.plain if plain else self.place
        return json.loads((folder / f"results/libraries/{sample}/library.json").read_text())

    def as_plain(self, *, within: float = 0.0) -> bool:
        """Return whether `antigens.tsv` is the plain cohort's, numbers within a share."""
        return not self.problems and different(self.place, self.plain, "antigens")[0] <= within

    def says(self, *words: str) -> bool:
        """Return whether one problem has all these words."""
        return any(all(word in line for word in words) for line in self.problems)

    def told(self) -> str:
        """Return what to print of it."""
        if self.problems:
            return f"{len(self.problems)} problems: {self.problems[0]}"
        one = self.summary()
        return f"{RELAPSE}: {one['n_pass']} cells, ambient {one['ambient_fraction']:.3f}"


def _cells_and_ambient(ran: Ran, within: float = 0.005) -> bool:
    """Return whether the relapse library's cells and ambient share are the plain ones."""
    own, plain = ran.summary(), ran.summary(plain=True)
    near = abs(own["ambient_fraction"] - plain["ambient_fraction"]) < within
    return near and abs(own["n_pass"] - plain["n_pass"]) <= 1


def _light_chain(ran: Ran) -> bool:
    """Return whether the contigs' lambda chain is that of the clone, as the file says."""
    clones = ran.table("clones")
    found = set(clones["light_chain"].dropna()) | set(clones["v_gene"].dropna())
    return {"lambda", "IGLV3-21"} <= found


def _without_mitochondria(ran: Ran) -> bool:
    one = ran.summary()
    cells = pd.read_parquet(ran.place / f"results/libraries/{RELAPSE}/cells.parquet")
    return one["median_pct_counts_mt"] is None and bool(cells["pct_counts_mt"].isna().all())


def _course(ran: Ran) -> bool:
    """Return whether the CAR-T line reached VGPR and progressed on day 364."""
    line = ran.table("course").query("therapy_class == 'car_t'").iloc[0]
    return line["best_response"] == "VGPR" and line["progression_day"] == 364


def _counts_of_relapse(ran: Ran) -> bool:
    """Return whether the relapse library's cells hold the plain cohort's molecules."""
    own, plain = (
        pd.read_parquet(folder / f"results/libraries/{RELAPSE}/cells.parquet")["total_counts"]
        for folder in (ran.place, ran.plain)
    )
    return list(own) == list(plain)


def _shown(ran: Ran, gene: str) -> bool:
    return all(
        np.isfinite(ran.antigen(gene, sample)["protein_fraction"])
        for sample in (RELAPSE, "P1_pre_infusion")
    )


def _unknown(ran: Ran, *words: str) -> bool:
    """Return whether the antibody against BCMA was not taken for its RNA."""
    row = ran.antigen("TNFRSF17")
    said = all(word in row["reason"] for word in words)
    return row["verdict"] == "INDETERMINATE" and "annotation lacks" not in row["reason"] and said


RIGHT: dict[str, Callable[[Ran], bool]] = {
    "A1_adt_crash": lambda ran: ran.as_plain() and _shown(ran, "CD38"),
    "A3_adt_names": lambda ran: ran.as_plain() and _shown(ran, "TNFRSF17"),
    # Symbols that stand for two genes are left out with a note.
    "B1_adt_typed_symbols": lambda ran: ran.as_plain(within=0.02),
    "B2_adt_bcma_synonym": lambda ran: _unknown(ran, "left out"),
    "B4_bcma_lost_but_antibody": lambda ran: _unknown(ran, "left out"),
    "C1_cellxgene_feature_type": lambda ran: not ran.problems and _cells_and_ambient(ran),
    "C2_gex_adt": lambda ran: ran.as_plain() and _shown(ran, "TNFRSF17"),
    "D1_raw_suffix_concat": lambda ran: ran.as_plain(),
    "D4_raw_suffix_h5": _cells_and_ambient,
    "D6_bcr_suffix": _light_chain,
    "E1_cellbender": lambda ran: ran.says("CellBender output", "give the raw counts"),
    "F1_pool_two_rows": lambda ran: _cells_and_ambient(ran, POOLED),
    "F2_pool_one_row": lambda ran: _cells_and_ambient(ran, POOLED),
    "G1_aggr": lambda ran: ran.says("2 libraries", "-1", "-2"),
    "H1_velocyto": lambda ran: ran.as_plain() and _counts_of_relapse(ran),
    "I1_min_cells_antigen": lambda ran: (
        _unknown(ran, "not detected or not annotated")
        and any("undetected" in line or "no row" in line for line in ran.warnings)
    ),
    "I2_no_mt": _without_mitochondria,
    "J1_null_x": _counts_of_relapse,
    "J4_contigs_gz": lambda ran: not ran.problems,
    "K1_genome_dash": _cells_and_ambient,
    "L1_thousands": lambda ran: ran.says("1,248", "1248 or 1.248") and ran.says("1,200"),
    "L2_below_limit": _course,
    "M1_clinical_empty_cli": lambda ran: not ran.problems,
}
FOLDERS = {
    "GSE1_RAW": ("4 libraries", "GSM100_H1_healthy"),
    "kb": ("give kb/counts_unfiltered/cellranger",),
}


def make_case(name: str, tiny: Path, place: Path) -> Path:
    """Return the folder with a case's files."""
    command = [sys.executable, str(SHARED / name / "make.py"), str(place / "made")]
    environment = os.environ | {"TINY": str(tiny)}
    subprocess.run(command, check=True, env=environment, capture_output=True)
    return place / "made"


def run_case(name: str, tiny: Path, place: Path, plain: Path) -> Ran:
    """Make a case's files and run its jobs."""
    made = make_case(name, tiny, place)
    clinical = made / "clinical" if (made / "clinical").is_dir() else tiny / "clinical"
    if name.startswith("M1"):
        # An empty value is no folder of clinical tables, wherever the command is run.
        os.chdir(made)
        clinical = ""
    try:
        warnings = run_jobs(next(made.rglob("samples.tsv")), clinical, place / "results")
    except InputProblem as problem:
        return Ran(place, plain, list(problem.problems), [])
    return Ran(place, plain, [], warnings)


def _folders(name: str, tiny: Path, place: Path) -> tuple[bool, str]:
    """Return whether each folder of a case is read, or named with the way out."""
    made = make_case(name, tiny, place)
    found = {}
    for sheet in sorted(made.glob("sheet_*/samples.tsv")):
        kind = sheet.parent.name.removeprefix("sheet_")
        try:
            check_inputs(sheet)
            found[kind] = kind not in FOLDERS
        except InputProblem as problem:
            line = problem.problems[0]
            found[kind] = kind in FOLDERS and all(word in line for word in FOLDERS[kind])
    return all(found.values()), str(found)


def main() -> None:
    """Run the cases and say of each whether it is right."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only", default="", help="cases whose name begins so")
    asked = parser.parse_args()
    if not SHARED.is_dir():
        print("skipped: the cases are not beside the repository")
        return
    work = asked.work.resolve()
    shutil.rmtree(work, ignore_errors=True)
    tiny = work / "tiny"
    simulate_cohort(tiny, plan=REPOSITORY / "tests/runs/plans/tiny.yaml")
    run_jobs(tiny / "samples.tsv", tiny / "clinical", work / "plain/results")
    names = [one for one in [*RIGHT, "J2_folders"] if one.startswith(asked.only)]
    rows = csv.writer(sys.stdout, delimiter="\t", lineterminator="\n")
    wrong = 0
    for name in sorted(names):
        place = work / name
        place.mkdir()
        if name == "J2_folders":
            right, told = _folders(name, tiny, place)
        else:
            ran = run_case(name, tiny, place, work / "plain")
            try:
                right, told = RIGHT[name](ran), ran.told()
            except (KeyError, FileNotFoundError) as error:
                right, told = False, f"{ran.told()} ({error!r})"
        wrong += not right
        rows.writerow([name, "right" if right else "WRONG", told.replace(str(work), "")])
        sys.stdout.flush()
    sys.exit(f"{wrong} of {len(names)} are wrong" if wrong else 0)


if __name__ == "__main__":
    main()
