"""Run 200 small simulated libraries, five of them broken, on SLURM as the cluster's profile has it.

Usage: cluster_scale.py FOLDER [--relapses 60] [--cells 200] [--config KEY=VALUE …]
On this machine: tests/cluster/local_slurm.py python benchmarks/cluster_scale.py FOLDER

FOLDER keeps the cohort and the run. Prints, as Markdown: scheduler jobs, the time that SLURM gave
them against what the rules in them took by their own benchmarks, memory asked for and used, and
what became of the broken libraries. Needs accounting (`sacct`). Ends with 1 where the run did.
"""

import argparse
import csv
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from relapsescope.paths import REPOSITORY
from relapsescope.simulate import simulate_cohort
from relapsescope.simulate.plan import compose_plan

KINDS = ("antigen_escape", "car_t_non_persistence", "suppressive_microenvironment", "none")
FILTERED = "filtered_feature_bc_matrix.h5"


def write_cohort(folder: Path, *, relapses: int, cells: int) -> list[str]:
    """Simulate the cohort and break five libraries; return their names.

    A relapse has 2 or 3 libraries, 11 to four patients; donors and untreated patients make up the
    rest, so that 60 relapses give 200.
    """
    others = round(relapses * 35 / 60)
    plan = compose_plan(
        healthy=others - others // 2,
        untreated=others // 2,
        relapses=[KINDS[number % len(KINDS)] for number in range(relapses)],
        cells=cells,
    )
    if not folder.exists():
        partial = folder.with_name(f"{folder.name}.part")
        simulate_cohort(partial, plan=plan, overwrite=True)
        # One in each fifth of the sheet, so that they fall into different batches.
        names = sorted(path.name for path in (partial / "matrices").iterdir())
        for number, spoil in enumerate(SPOILERS):
            name = names[(2 * number + 1) * len(names) // (2 * len(SPOILERS))]
            spoil(partial / "matrices" / name)
            (partial / "broken.txt").open("a").write(f"{name}\n")
        partial.rename(folder)
    return (folder / "broken.txt").read_text().split()


def gene_out_of_range(library: Path) -> None:
    """Name a gene that the matrix has not, in the middle of the counts."""
    with h5py.File(library / FILTERED, "r+") as file:
        indices = file["matrix/indices"]
        indices[indices.shape[0] // 2] = np.iinfo(np.int32).max


def barcodes_overlap(library: Path) -> None:
    """Let a barcode in the middle end before it begins."""
    with h5py.File(library / FILTERED, "r+") as file:
        ends = file["matrix/indptr"]
        ends[ends.shape[0] // 2] = 0


def dead_cells(library: Path) -> None:
    """Lose nine tenths of what is not mitochondrial."""
    with h5py.File(library / FILTERED, "r+") as file:
        names = file["matrix/features/name"].asstr()[:]
        counts, genes = file["matrix/data"][:], file["matrix/indices"][:]
        kept = np.char.startswith(names.astype(str), "MT-")[genes]
        counts[~kept & (np.arange(counts.size) % 10 > 0)] = 0
        file["matrix/data"][:] = counts


def hardly_any_counts(library: Path) -> None:
    """Leave about 50 UMIs a barcode, as a failed sequencing run does."""
    with h5py.File(library / FILTERED, "r+") as file:
        counts = file["matrix/data"][:]
        counts[np.arange(counts.size) % 40 > 0] = 0
        file["matrix/data"][:] = counts


def few_barcodes(library: Path) -> None:
    """Leave three barcodes."""
    with h5py.File(library / FILTERED, "r+") as file:
        matrix = file["matrix"]
        end = int(matrix["indptr"][3])
        kept = {"barcodes": 3, "indptr": 4, "data": end, "indices": end}
        for name, length in kept.items():
            values = matrix[name][:length]
            del matrix[name]
            matrix[name] = values
        matrix["shape"][1] = 3


SPOILERS = (gene_out_of_range, barcodes_overlap, dead_cells, hardly_any_counts, few_barcodes)


@dataclass(frozen=True)
class SlurmJob:
    """A job as SLURM's accounting has it: seconds, MB, and the rule or group that it ran."""

    kind: str
    state: str
    waited: float
    elapsed: float
    asked: float
    used: float


def jobs_of(run_id: str) -> list[SlurmJob]:
    """Return the jobs of a run of Snakemake's, which all bear its name."""
    fields = "JobID,State,ElapsedRaw,Reserved,ReqMem,MaxRSS,Comment"
    told = subprocess.run(
        ["sacct", "-n", "-P", "--units=M", f"--name={run_id}", "-o", fields],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    whole, used = {}, Counter()
    for line in told.splitlines():
        number, state, elapsed, waited, asked, most, comment = line.split("|")
        number, _, step = number.partition(".")
        if step:
            # The job's own Snakemake (the batch step) and what it starts share the allocation.
            used[number] += float(most.strip("M") or 0)
        else:
            hours, minutes, seconds = map(int, waited.rpartition("-")[2].split(":"))
            kind = re.sub("^(rule|group)_", "", comment).partition("_wildcards")[0]
            waited_s = 3600 * hours + 60 * minutes + seconds
            asked_mb = float(re.match(r"[\d.]+", asked)[0])
            whole[number] = (kind, state, waited_s, float(elapsed), asked_mb)
    return [SlurmJob(*values, used[number]) for number, values in whole.items()]


def seconds_of_rules(results: Path) -> tuple[float, int]:
    """Return what the rules' jobs took by their benchmarks, summed, and how many there were."""
    times = []
    for path in (results / "benchmarks").rglob("*.tsv"):
        with open(path, newline="") as lines:
            times += [float(row["s"]) for row in csv.DictReader(lines, delimiter="\t")]
    return sum(times), len(times)


def main() -> int:
    """Simulate, run, report."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("folder", type=Path)
    options.add_argument("--relapses", type=int, default=60)
    options.add_argument("--cells", type=int, default=200)
    options.add_argument("--config", nargs="*", default=[])
    chosen = options.parse_args()
    folder = chosen.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    broken = write_cohort(folder / "cohort", relapses=chosen.relapses, cells=chosen.cells)
    if not (folder / "config").exists():
        shutil.copytree(REPOSITORY / "config", folder / "config")
    command = [
        *(str(Path(sys.executable).parent / "snakemake"), "--snakefile", REPOSITORY / "Snakefile"),
        *("--workflow-profile", REPOSITORY / "workflow/profiles/slurm", "--directory", folder),
        *("--config", "samples=cohort/samples.tsv", "clinical=cohort/clinical", "results=results"),
        *chosen.config,
    ]
    started, load = time.monotonic(), os.getloadavg()[0]
    with open(folder / "snakemake.out", "w") as output:
        run = [str(part) for part in command]
        status = subprocess.run(run, cwd=folder, stdout=output, stderr=output).returncode
    wall = time.monotonic() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    (run_id,) = re.findall(r"SLURM run ID: (\S+)", (folder / "snakemake.out").read_text())
    jobs = jobs_of(run_id)
    with open(folder / "results/tables/samples.tsv", newline="") as lines:
        verdicts = {row["sample_id"]: row for row in csv.DictReader(lines, delimiter="\t")}
    given = sum(job.elapsed for job in jobs)
    own, n_rules = seconds_of_rules(folder / "results")
    rows = {
        "exit status of Snakemake": status,
        "libraries": f"{len(verdicts)}, of them {len(broken)} broken",
        "scheduler jobs": f"{len(jobs)} ({len(jobs) / len(verdicts):.2f} a library), "
        f"{dict(Counter(job.state for job in jobs))}",
        "jobs of rules": f"{n_rules}, {own:,.0f} s by their own benchmarks",
        "time in SLURM's jobs": f"{given:,.0f} s, {given / own - 1:.1%} over the jobs' own",
        "waited for a free node": f"{sum(job.waited for job in jobs):,.0f} s in all",
        "wall clock": f"{wall:,.0f} s",
        "CPU of Snakemake itself": f"{used.ru_utime + used.ru_stime:,.0f} s",
        "load average before": f"{load:.1f}",
    }
    for kind in sorted({job.kind for job in jobs}):
        of_kind = [job for job in jobs if job.kind == kind]
        asked, most = [job.asked for job in of_kind], [job.used for job in of_kind]
        rows[f"`{kind}`"] = (
            f"{len(of_kind)} jobs, {sum(job.elapsed for job in of_kind):,.0f} s; asked for "
            f"{min(asked):,.0f} to {max(asked):,.0f} MB, used {min(most):,.0f} to {max(most):,.0f}"
        )
    for name in broken:
        rows[name] = f"{verdicts[name]['verdict']}: {verdicts[name]['reason']}"
    others = Counter(row["verdict"] for name, row in verdicts.items() if name not in broken)
    rows["verdicts of the others"] = str(dict(others))
    print("| what | measured |\n|---|---|")
    for what, measured in rows.items():
        print(f"| {what} | {measured} |")
    return status


if __name__ == "__main__":
    sys.exit(main())
