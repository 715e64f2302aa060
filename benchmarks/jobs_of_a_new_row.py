"""Which jobs a new row of a study of 50 libraries runs, counted by Snakemake; nothing is computed.

The study is a stub: small matrices that pass the check, and empty results that Snakemake takes for
its own (`--touch` records their parameters and inputs). Then a row is added, for a patient that is
in the study and for one that is new, and `snakemake -n` counts.

    python benchmarks/jobs_of_a_new_row.py FOLDER
"""

import argparse
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from relapsescope.intake.genes import gene_table
from relapsescope.paths import REPOSITORY
from relapsescope.simulate.tenx import write_tenx
from scipy import sparse

N_DONORS, N_PATIENTS = 10, 20
"""Donors of one library, patients of two: 50 libraries."""
HEADER = ("sample_id", "patient_id", "timepoint", "day", "tissue", "matrix")


def row(folder: Path, number: int, patient: str, timepoint: str, day: str) -> list[str]:
    """Return a row of the sheet, whose small matrix is written."""
    table = gene_table()
    name = f"{patient}_{timepoint}_{number}"
    path = folder / "matrices" / f"{name}.h5"
    path.parent.mkdir(exist_ok=True)
    counts = np.random.default_rng(number).poisson(1.0, (40, 400)).astype(np.int32)
    bases = np.array(list("ACGT"))[np.random.default_rng(number).integers(0, 4, (40, 16))]
    write_tenx(
        path,
        sparse.csr_matrix(counts),
        barcodes=np.array(["".join(one) + "-1" for one in bases], dtype=object),
        feature_ids=table.gene_ids[:400],
        feature_names=table.symbols[:400],
        library="x",
    )
    return [name, patient, timepoint, day, "bone_marrow", f"matrices/{path.name}"]


def snakemake(folder: Path, *arguments: str) -> str:
    """Return what Snakemake prints on the study in a folder."""
    command = [str(Path(sys.executable).parent / "snakemake"), "--cores", "1"]
    command += ["--snakefile", str(REPOSITORY / "workflow/Snakefile")]
    command += ["--workflow-profile", str(REPOSITORY / "workflow/profiles/default"), *arguments]
    command += ["--config", "samples=samples.tsv", "clinical=", "results=out"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    told = done.stdout + done.stderr
    # Empty tables have no answers for a run to close with.
    if done.returncode and "(100%) done" not in told:
        raise SystemExit(told[-3000:])
    return told


def planned(folder: Path) -> Counter:
    """Return the number of jobs a rule that Snakemake would run."""
    lines = iter(snakemake(folder, "-n", "--quiet", "rules").splitlines())
    found = Counter()
    for line in lines:
        if line.startswith("---"):
            for counted in lines:
                name, _, number = counted.partition(" ")
                if not number.strip().isdigit():
                    break
                found[name] = int(number)
            break
    for name in ("total", "all"):
        found.pop(name, None)
    return found


def write_sheet(folder: Path, rows: list[list[str]]) -> None:
    """Write the study's sheet."""
    (folder / "samples.tsv").write_text("\n".join("\t".join(one) for one in [HEADER, *rows]) + "\n")


def main() -> None:
    """Make the stub study, add rows, and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True)
    shutil.copytree(REPOSITORY / "config", folder / "config")
    rows = [row(folder, i, f"H{i}", "healthy", "") for i in range(N_DONORS)]
    for i in range(N_PATIENTS):
        rows.append(row(folder, 100 + i, f"P{i}", "pre_infusion", "-10"))
        rows.append(row(folder, 200 + i, f"P{i}", "relapse", "300"))
    write_sheet(folder, rows)
    whole = planned(folder)
    summary = snakemake(folder, "--summary").splitlines()
    start = next(i for i, line in enumerate(summary) if line.startswith("output_file"))
    for name in (line.split("\t")[0] for line in summary[start + 1 :] if "\t" in line):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch() if path.suffix else path.mkdir()
    snakemake(folder, "--touch", "--forceall")
    print(f"a study of {len(rows)} libraries: {whole.total()} jobs")
    print(f"once made: {planned(folder).total()} jobs")
    new = {
        "a patient of the study": row(folder, 301, "P0", "remission", "90"),
        "a new patient": row(folder, 302, "N1", "relapse", "200"),
        "a healthy donor": row(folder, 303, "D1", "healthy", ""),
    }
    for words, added in new.items():
        write_sheet(folder, [*rows, added])
        found = planned(folder)
        counts = ", ".join(f"{name} {n}" for name, n in sorted(found.items()))
        print(f"one row more, of {words}: {found.total()} jobs: {counts}")


if __name__ == "__main__":
    main()
