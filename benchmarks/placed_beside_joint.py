"""A new patient judged on a frozen reference, beside the same patient in a run with everybody.

    python benchmarks/placed_beside_joint.py SHEET --clinical FOLDER --hold A1 A4 --work FOLDER

Three kinds of whole runs: everybody together; everybody but the patients held out, which is frozen;
each patient held out alone on that reference. Printed are the share of cells with the same labels,
every verdict that differs (reversed: both decided), and the CPU (user + system, children included)
of a patient alone as a share of that of everybody together. Runs that are there are taken as they
are, without their CPU where that was not kept.
"""

import argparse
import contextlib
import csv
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "workflow"))

from relapsescope.reference.freeze import freeze  # noqa: E402
from relapsescope.vocabulary import INDETERMINATE  # noqa: E402

PATHS = ("matrix", "raw_matrix", "tcr_contigs", "bcr_contigs", "barcodes")
LABELS = ("lineage", "cell_type", "malignancy")
OPEN = {INDETERMINATE, "NOT_ASSESSABLE", "not_assessable", ""}
VERDICTS = {
    "antigens": (["patient_id", "sample_id", "clone_id", "antigen"], ["verdict"]),
    "anxa1": (["patient_id", "sample_id", "compartment"], ["verdict"]),
    "car_t": (
        ["patient_id", "sample_id", "population"],
        ["exhaustion_verdict", "proliferation_verdict"],
    ),
    "mechanisms": (["patient_id", "mechanism"], ["verdict"]),
    "clones": (["patient_id", "clone_id", "sample_id"], ["relation"]),
}
"""Of each table: what a row is of, and the columns that hold verdicts."""


def write_sheet(source: Path, target: Path, keep) -> None:
    """Write the sheet's rows of the patients that `keep` accepts, its paths made absolute."""
    with source.open(newline="") as stream:
        reader = csv.DictReader(stream, delimiter="\t")
        rows = [row for row in reader if keep(row["patient_id"])]
    for row in rows:
        for column in PATHS:
            if row.get(column):
                row[column] = str((source.parent / row[column]).resolve())
    with target.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, reader.fieldnames, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def run(folder: Path, sheet: Path, keep, *, clinical: Path, reference: str, cores: int) -> float:
    """Run the workflow on some patients of a sheet; return its CPU in seconds, NaN if not kept."""
    kept = folder / "cpu_s"
    if (folder / "results/run_manifest.json").exists():
        return float(kept.read_text()) if kept.exists() else float("nan")
    folder.mkdir(parents=True, exist_ok=True)
    write_sheet(sheet, folder / "samples.tsv", keep)
    shutil.copytree(REPOSITORY / "config", folder / "config", dirs_exist_ok=True)
    command = [str(Path(sys.executable).parent / "snakemake"), "--cores", str(cores)]
    command += ["--snakefile", str(REPOSITORY / "workflow/Snakefile"), "--quiet"]
    command += ["--workflow-profile", str(REPOSITORY / "workflow/profiles/default")]
    command += ["--config", "samples=samples.tsv", f"clinical={clinical}", "results=results"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [*command, f"reference={reference}"], cwd=folder, capture_output=True, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{folder}: {(done.stdout + done.stderr)[-3000:]}")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    kept.write_text(f"{used}\n")
    return used


def labels_shared(alone: Path, joint: Path) -> dict[str, float]:
    """Return the share (0 to 1) of a patient's usable cells with the same label in both runs."""
    keys = ["sample_id", "barcode"]
    one, two = (pd.read_parquet(path / "results/tables/cells.parquet") for path in (alone, joint))
    both = one.merge(two, on=keys, suffixes=("", "_joint"))
    both = both[both["qc_pass"] & both["qc_pass_joint"]]
    shares = {
        name: float((both[name].astype(str) == both[f"{name}_joint"].astype(str)).mean())
        for name in LABELS
    }
    return {"cells": len(both), **shares}


def verdicts_beside(alone: Path, joint: Path, patient: str) -> pd.DataFrame:
    """Return a patient's verdicts: table, what of, `alone`, `joint`, and how they compare."""
    rows = []
    for table, (keys, columns) in VERDICTS.items():
        one, two = (
            pd.read_csv(path / f"results/tables/{table}.tsv", sep="\t", dtype=str).fillna("")
            for path in (alone, joint)
        )
        one = one[one["patient_id"] == patient]
        both = one.merge(two[[*keys, *columns]], on=keys, suffixes=("", "_joint"))
        for column in columns:
            for _, row in both.iterrows():
                here, there = row[column], row[f"{column}_joint"]
                decided = here not in OPEN, there not in OPEN
                kind = {
                    (True, True): "same" if here == there else "reversed",
                    (False, True): "became open",
                    (True, False): "became decided",
                    (False, False): "both open",
                }[decided]
                rows.append((table, " ".join(row[keys]), column, here, there, kind))
    return pd.DataFrame(rows, columns=["table", "of", "column", "alone", "joint", "kind"])


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for and print the comparison; exit status 0 when it ended."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--clinical", type=Path, default=None)
    parser.add_argument("--hold", nargs="+", required=True, help="patients held out, one by one")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--cores", type=int, default=2)
    options = parser.parse_args(arguments)
    clinical = options.clinical.resolve() if options.clinical else ""
    work, held = options.work.resolve(), set(options.hold)
    common = {"clinical": clinical, "cores": options.cores}
    joint = run(work / "joint", options.sheet, lambda one: True, reference="shipped", **common)
    run(work / "rest", options.sheet, lambda one: one not in held, reference="shipped", **common)
    reference = work / "reference"
    if not reference.exists():
        with contextlib.chdir(work / "rest"):  # where the run's own relative paths lead
            freeze(Path("results"), reference)
    seen = []
    for patient in options.hold:
        folder = work / f"alone_{patient}"
        cpu = run(folder, options.sheet, patient.__eq__, reference=str(reference), **common)
        shares = labels_shared(folder, work / "joint")
        print(patient, f"{cpu:.0f} of {joint:.0f} CPU s", shares)
        seen.append(verdicts_beside(folder, work / "joint", patient))
    verdicts = pd.concat(seen)
    print(pd.crosstab(verdicts["table"], verdicts["kind"]).to_string())
    different = verdicts[verdicts["kind"].isin(["reversed", "became open", "became decided"])]
    print(different.to_string(index=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
