"""Run every made variant of the tiny cohort; say which give the plain cohort's results.

    python tests/variants/whole.py --work FOLDER [--only TEXT] [--snakemake]

Each variant gives the plain cohort's `antigens.tsv`, `clones.tsv` and T-cell receptors, or a line
that says what is wrong: nothing else. Writes ``FOLDER/variants.tsv``; a run that was broken off
goes on. The jobs run in this process (`jobs.py`), with ``--snakemake`` in the workflow.
"""

import argparse
import csv
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
sys.path[:0] = [str(HERE), str(REPOSITORY / "workflow")]

from jobs import run_jobs  # noqa: E402
from relapsescope.errors import InputProblem  # noqa: E402
from variants import EITHER, READ, Base, Variant, make_base, variants, write_cohort  # noqa: E402

TABLES = ("antigens", "clones")
KEYS = {
    "antigens": ["patient_id", "clone_id", "sample_id", "antigen"],
    "clones": ["patient_id", "clone_id", "timepoint", "sample_id"],
}
# Symbols that stand for two genes are left out with a note: what is told per million moves by less.
CLOSE = 0.02
SAME, NEAR, REFUSED, FAILED = "same", "near", "refused", "library failed"
DIFFERENT, BROKEN = "DIFFERENT", "BROKEN"


def run(sheet: Path, place: Path, *, snakemake: bool) -> list[str]:
    """Run a cohort's jobs; return what is wrong with its inputs, nothing where they ran.

    Raises
    ------
    RuntimeError
        Where the workflow ended otherwise.
    """
    if snakemake:
        return _run_workflow(sheet, place)
    try:
        run_jobs(sheet, sheet.parent / "clinical", place / "results")
    except InputProblem as problem:
        return list(problem.problems)
    return []


def _run_workflow(sheet: Path, place: Path) -> list[str]:
    shutil.copytree(REPOSITORY / "config", place / "config", dirs_exist_ok=True)
    wanted = [*(f"tables/{name}.tsv" for name in TABLES), "patients/P1/receptors.parquet"]
    command = [
        str(Path(sys.executable).parent / "snakemake"),
        *("--snakefile", str(REPOSITORY / "Snakefile")),
        *("--workflow-profile", str(REPOSITORY / "workflow/profiles/default")),
        *("--cores", "1", "--directory", str(place)),
        *("--config", f"samples={sheet}", f"clinical={sheet.parent / 'clinical'}"),
        *("results=results", "--", *(f"results/{name}" for name in wanted)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if not done.returncode:
        return []
    lines = [line.strip() for line in done.stderr.splitlines() if "samples.tsv:" in line]
    problems = [line for line in lines if not line.startswith("warning")]
    if not problems or "Traceback (most recent call last)" in done.stderr:
        raise RuntimeError(done.stderr[-600:])
    return problems


def outcome(place: Path, plain: Path) -> tuple[str, str]:
    """Return what came of a variant that ran, and what was said or is different."""
    for summary in sorted((place / "results/libraries").glob("*/library.json")):
        own = json.loads(summary.read_text())
        theirs = json.loads(
            (plain / "results/libraries" / own["sample_id"] / "library.json").read_text()
        )
        if own["verdict"] == "fail" and theirs["verdict"] != "fail":
            broken = "could not be processed" in own["reason"]
            return BROKEN if broken else FAILED, f"{own['sample_id']}: {own['reason']}"
    found = [different(place, plain, name) for name in TABLES]
    found.append(_other_receptors(place, plain))
    if all(worst == 0 for worst, _ in found):
        return SAME, ""
    told = "; ".join(what for _, what in found if what)
    return (NEAR if max(worst for worst, _ in found) <= CLOSE else DIFFERENT), told


def _other_receptors(place: Path, plain: Path) -> tuple[float, str]:
    """Return whether clonotypes differ: how many cells have one, and of what size."""
    own, theirs = (
        pd.read_parquet(folder / "results/patients/P1/receptors.parquet")
        for folder in (place, plain)
    )
    n_own, n_theirs = (int(table["clonotype_id"].notna().sum()) for table in (own, theirs))
    if n_own == n_theirs and len(own) == len(theirs):
        return 0.0, ""
    return np.inf, f"receptors: {n_own} cells with a clonotype for {n_theirs}"


def different(place: Path, plain: Path, name: str) -> tuple[float, str]:
    """Return how far a table is from the plain one (inf where words differ), and where."""
    own, theirs = (
        pd.read_csv(folder / f"results/tables/{name}.tsv", sep="\t").set_index(KEYS[name])
        for folder in (place, plain)
    )
    columns = [c for c in theirs if "protein" not in c and c != "reason"]
    if list(own.index) != list(theirs.index):
        return np.inf, f"{name}: {len(own)} rows for {len(theirs)}"
    worst, where = 0.0, ""
    for column in columns:
        one, other = own[column], theirs[column]
        if one.dtype.kind in "fiu" and other.dtype.kind in "fiu":
            gap = np.abs(one - other) / np.maximum(np.abs(other), 1e-9)
            # Few molecules move a rate's interval more than many.
            gap = float(np.where(one.isna() & other.isna(), 0, gap.fillna(np.inf)).max())
        else:
            gap = 0.0 if one.fillna("").astype(str).equals(other.fillna("").astype(str)) else np.inf
        if gap > worst:
            worst, where = gap, f"{name} {column} by {gap:.3g}"
    return worst, where


def main() -> None:
    """Make the plain cohort, run every variant, and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only", default="", help="variants whose name has this text")
    parser.add_argument("--snakemake", action="store_true", help="run the workflow itself")
    asked = parser.parse_args()
    work = asked.work.resolve()
    base = _plain(work, snakemake=asked.snakemake)
    report = work / "variants.tsv"
    known = _known(report)
    for variant in variants():
        if asked.only in variant.name and variant.name not in known:
            told = _one(variant, base, work, snakemake=asked.snakemake)
            with open(report, "a", encoding="utf-8", newline="") as handle:
                csv.writer(handle, delimiter="\t", lineterminator="\n").writerow(told)
            print(*told, sep="\t", flush=True)
    rows = _known(report).values()
    print(dict(Counter(row[1] for row in rows)))
    wrong = [row for row in rows if row[2] == "wrong"]
    sys.exit(f"{len(wrong)} of {len(rows)} are wrong" if wrong else 0)


def _plain(work: Path, *, snakemake: bool) -> Base:
    plan = REPOSITORY / "tests/runs/plans/tiny.yaml"
    shutil.rmtree(work / "plain", ignore_errors=True)
    base = make_base(work / "plain/cohort", plan)
    if problems := run(base.sheet, work / "plain", snakemake=snakemake):
        sys.exit("\n".join(problems))
    return base


def _known(report: Path) -> dict[str, list[str]]:
    if not report.exists():
        return {}
    with open(report, encoding="utf-8", newline="") as handle:
        return {row[0]: row for row in csv.reader(handle, delimiter="\t")}


def _one(variant: Variant, base: Base, work: Path, *, snakemake: bool) -> list[str]:
    place = work / "variant"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    sheet = write_cohort(variant, base, place / "cohort")
    try:
        problems = run(sheet, place, snakemake=snakemake)
        found, what = outcome(place, work / "plain") if not problems else (REFUSED, problems[0])
    except Exception as error:
        found, what = BROKEN, f"{type(error).__name__}: {error}"
    what = what.replace(str(work), "").replace("\n", " ")
    allowed = {READ: {SAME}, EITHER: {SAME, REFUSED, FAILED}}.get(variant.right, {REFUSED, FAILED})
    if variant.ids.endswith("symbols"):
        allowed = allowed | {NEAR}
    return [variant.name, found, "right" if found in allowed else "wrong", what]


if __name__ == "__main__":
    main()
