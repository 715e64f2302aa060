"""Fit the memory and time of every rule to the benchmarks of finished runs.

Usage: fit_resources.py RUN [RUN …] [--points POINTS.tsv] [--write]
       fit_resources.py RUN [RUN …] --check

A RUN is the folder that Snakemake ran in: its `run_manifest.json` names the sheet, whose matrices
say how much each job read. Prints the models beside what they rest on; --write stores them in
resources/resource_models.tsv, and --points every single benchmark. --check fits nothing: it holds
the stored models to runs that they were not fitted to.
"""

import argparse
import csv
import json
import os
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
from relapsescope.intake.patients import libraries_by_patient
from relapsescope.paths import REPOSITORY
from relapsescope.run.check import check_inputs
from relapsescope.run.job_log import PEAK
from relapsescope.run.resource_models import (
    COLUMNS,
    MODELS,
    SNAKEMAKE_MB,
    WITH_TCR,
    ResourceModel,
    Size,
    read_models,
    request,
    total_size,
)
from scipy.optimize import nnls

SHARE_BELOW = 0.95
# Benchmarks sample twice a second, later every 30: of the shortest jobs they see less than Python
# with pandas, and of long ones not the peak, which is in the log.
LEAST_SEEN_MB = 200.0
# Small runs show no growth where there must be some: the cells' table, or the counts, in memory.
LEAST_GROWTH_MB = {
    "thousand_barcodes": 2.0,
    "million_values": 6.0,
    "million_values_with_raw": 6.0,
    "million_tcr_bytes": 6.0,
}
SMALL_UNITS = 5.0
# A patient has a few libraries; only over cohorts does their number say more than their size.
MANY_LIBRARIES = 10
# On a busy machine a job waits. Where it does not, it takes its CPU time and so many seconds.
START_S = 1.0
DOCS = REPOSITORY / "docs/cluster.md"
# Cells of the table in the docs, with this many stored counts each and as many in the raw matrix.
CELLS = (2_000, 10_000, 100_000)
CELLS_A_LIBRARY = 5_000
VALUES_A_CELL = 2_000
# A third T cells, two contigs each.
TCR_BYTES_A_CELL = 300
READ_TCR = ("receptors",)
UNITS = {
    "library": "million_values_with_raw",
    f"receptors{WITH_TCR}": "million_tcr_bytes",
    **dict.fromkeys(
        ("atlas", "clones", "molecules", "normal_plasma", "cellxgene"), "million_values"
    ),
}
HEADER = """\
# Memory (MB, resident) and time (s) of a job alone on a CPU: base + per_unit x units + per_library
# x libraries; {share:.0%} of benchmarked jobs lie below. Written by `make bench-resources`
# (benchmarks/fit_resources.py).
"""


def rules_of_workflow() -> dict[str, str]:
    """Return the group of each rule that runs a script, "" where it has none."""
    found, local = {}, []
    for path in sorted((REPOSITORY / "workflow/rules").glob("*.smk")):
        text = path.read_text()
        for listed in re.findall(r"^localrules:\n((?: +\w+,\n)+)", text, flags=re.M):
            local += re.findall(r"\w+", listed)
        for block in re.split(r"^rule ", text, flags=re.M)[1:]:
            if "script:" in block:
                group = re.search(r'group:\s*"(\w+)"', block)
                found[block.partition(":")[0]] = group[1] if group else ""
    found |= dict.fromkeys(local, "local")
    return found | {f"{rule}{WITH_TCR}": found[rule] for rule in READ_TCR}


def benchmarks_of(run: Path) -> list[tuple[str, str, Size, float, float]]:
    """Return rule, job, size, MB and seconds of each benchmarked job of a run."""
    config = json.loads((run / "results/run_manifest.json").read_text())["config"]
    here = Path.cwd()
    os.chdir(run)
    try:
        checked = check_inputs(config["samples"])
    finally:
        os.chdir(here)
    sizes = checked.sizes
    patients = {
        patient: total_size(sizes[sample] for sample in samples)
        for patient, samples in libraries_by_patient(checked.libraries).items()
    }
    of_cohort = total_size(sizes.values())
    panel = config["copy_number"]["panel_timepoints"]
    of_panel = total_size(
        sizes[library.sample_id] for library in checked.libraries if library.timepoint in panel
    )
    rows = []
    for path in sorted((run / "results/benchmarks").rglob("*.tsv")):
        of_one = path.parent.name != "benchmarks"
        rule, job = (path.parent.name, path.stem) if of_one else (path.stem, "")
        if of_one:
            size = sizes.get(job) or patients.get(job) or Size()
        else:
            size = of_panel if rule == "normal_plasma" else of_cohort
        if rule in READ_TCR and size.n_tcr_bytes:
            rule += WITH_TCR
        with open(path, newline="") as lines:
            for row in csv.DictReader(lines, delimiter="\t"):
                if row["max_rss"] not in ("NA", "-"):
                    log = run / "results/logs" / path.relative_to(run / "results/benchmarks")
                    mb = max(float(row["max_rss"]), peak_in(log), LEAST_SEEN_MB)
                    quiet = float(row["cpu_time"]) + START_S
                    rows.append((rule, job, size, mb, min(float(row["s"]), quiet)))
    return rows


def peak_in(benchmark_log: Path) -> float:
    """Return the peak (MB) that a job wrote into its log, 0 where it wrote none."""
    log = benchmark_log.with_suffix(".log")
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    found = re.findall(rf"^{re.escape(PEAK)}(\d+) MB$", text, flags=re.M)
    return float(found[-1]) if found else 0.0


def line_above(
    amounts: np.ndarray, libraries: np.ndarray, values: np.ndarray, *, least: float
) -> tuple[float, float, float]:
    """Return base, and slopes by amount and by library, of a line with 95 % of the values below.

    None is negative. A slope is 0 where the jobs do not differ in what it belongs to.
    """
    if amounts.max() < 2 * amounts.min():
        # Jobs of one size do not tell base from slope. What a small one takes are its imports; what
        # a large one takes beyond Python's own is taken to grow with size.
        if amounts.max() < SMALL_UNITS:
            return float(np.quantile(values, SHARE_BELOW)), 0.0, 0.0
        slope = np.quantile(np.maximum(values - least, 0) / amounts, SHARE_BELOW)
        return least, float(slope), 0.0
    shapes = [np.ones_like(amounts), amounts]
    if libraries.max() >= MANY_LIBRARIES:
        shapes.append(libraries)
    matrix = np.stack(shapes, axis=1)
    # Larger jobs scatter more: relative errors are what is small.
    found, _ = nnls(matrix / values[:, None], np.ones_like(values))
    found *= max(np.quantile(values / (matrix @ found), SHARE_BELOW), 1)
    return (*map(float, found), *[0.0] * (3 - len(found)))


def fit(rule: str, group: str, points: list[tuple[Size, float, float]]) -> ResourceModel:
    """Return the rule's model."""
    unit = UNITS.get(rule, "thousand_barcodes")
    amounts = np.array([size.amount(unit) for size, _, _ in points])
    libraries = np.array([size.n_libraries for size, _, _ in points])
    used = np.array([mb for _, mb, _ in points])
    mb = line_above(amounts, libraries, used, least=LEAST_SEEN_MB)
    mb = (mb[0], max(mb[1], LEAST_GROWTH_MB[unit]), mb[2])
    seconds = line_above(amounts, libraries, np.array([s for _, _, s in points]), least=START_S)
    numbers = [round(float(value), 3) for value in (*mb, *seconds)]
    largest = round(float(amounts.max()), 3)
    return ResourceModel(rule, group, unit, *numbers, len(points), largest, int(libraries.max()))


def check(rows: list[tuple[str, str, Size, float, float]]) -> str:
    """Return as Markdown how jobs compare with what the stored models asked for them."""
    lines = ["| rule | jobs | over memory | over time | asked / 95th percentile of use |"]
    lines.append("|---|---:|---:|---:|---:|")
    for name in sorted({row[0] for row in rows}):
        of_rule = [row[2:] for row in rows if row[0] == name]
        asked = [request(name.removesuffix(WITH_TCR), size) for size, _, _ in of_rule]
        # As a scheduler sees it: the job and the two Snakemakes that start it.
        used = np.array([mb + SNAKEMAKE_MB for _, mb, _ in of_rule])
        memory = np.array([each.mem_mb for each in asked])
        late = sum(each.runtime * 60 < s for each, (_, _, s) in zip(asked, of_rule, strict=True))
        # Each job as a multiple of what it was given, so that large and small ones count alike.
        share = 1 / np.quantile(used / memory, SHARE_BELOW)
        lines.append(f"| `{name}` | {len(used)} | {(used > memory).sum()} | {late} | {share:.2f} |")
    return "\n".join(lines)


def table_of_docs(models: dict[str, ResourceModel]) -> str:
    """Return the models as Markdown: memory and time that a job uses, and what it asks for."""
    heads = "".join(f" {cells:,} cells |" for cells in CELLS)
    lines = [f"| rule | jobs measured |{heads} asks for at {CELLS[0]:,} |"]
    lines.append("|---|---:|" + "---:|" * (len(CELLS) + 1))
    for rule, model in sorted(models.items()):
        tcr_bytes = TCR_BYTES_A_CELL if rule.endswith(WITH_TCR) else 0
        sizes = [
            Size(n, *[n * VALUES_A_CELL] * 2, n * tcr_bytes, max(1, n // CELLS_A_LIBRARY))
            for n in CELLS
        ]
        used = "".join(f" {model.memory(s):,.0f} MB, {model.seconds(s):,.0f} s |" for s in sizes)
        asks = request(rule.removesuffix(WITH_TCR), sizes[0])
        row = f"| `{rule}` | {model.n_jobs} |{used} {asks.mem_mb:,} MB, {asks.runtime} min |"
        lines.append(row)
    return "\n".join(lines)


def write_docs(path: Path = DOCS) -> None:
    """Put the table of the present models into the docs."""
    text, table = path.read_text(encoding="utf-8"), table_of_docs(read_models())
    start, end = "<!-- resource table -->\n", "<!-- end of it -->\n"
    before, _, rest = text.partition(start)
    after = rest.partition(end)[2]
    path.write_text(f"{before}{start}\n{table}\n\n{end}{after}", encoding="utf-8")


def main() -> None:
    """Fit, show, and write if asked to."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("runs", type=Path, nargs="+")
    options.add_argument("--points", type=Path)
    options.add_argument("--write", action="store_true")
    options.add_argument("--check", action="store_true")
    chosen = options.parse_args()
    rows = [row for run in chosen.runs for row in benchmarks_of(run.resolve())]
    if chosen.points:
        with open(chosen.points, "w", encoding="utf-8") as lines:
            lines.write("rule\tjob\tn_barcodes\tn_values\tn_raw_values\tmb\ts\n")
            for rule, job, size, mb, s in rows:
                cells = (rule, job, *asdict(size).values(), mb, s)
                lines.write("\t".join(map(str, cells)) + "\n")
    if chosen.check:
        print(check(rows))
        return
    table = HEADER.format(share=SHARE_BELOW) + "\t".join(COLUMNS) + "\n"
    models = read_models()
    for rule, group in sorted(rules_of_workflow().items()):
        points = [(size, mb, s) for name, _, size, mb, s in rows if name == rule]
        if not points:
            print(f"{rule}: no benchmark in these runs; its row stays as it is")
            if rule in models:
                table += "\t".join(str(value) for value in asdict(models[rule]).values()) + "\n"
            continue
        model = fit(rule, group, points)
        used = max(model.memory(size) / mb for size, mb, _ in points)
        print(f"{rule} ({group or 'alone'}): {model}; at most {used:.2f} times a job's own memory")
        table += "\t".join(str(value) for value in asdict(model).values()) + "\n"
    if chosen.write:
        MODELS.write_text(table, encoding="utf-8")
        read_models.cache_clear()
        write_docs()


if __name__ == "__main__":
    main()
