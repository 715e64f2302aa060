"""Weight of the cohort's page for many libraries: a finished run's tables, many times over.

Each copy's patients and libraries have names of their own; the cohort is as large as a run of
them would be, without running it. Prints libraries, patients and bytes of the page.

    python benchmarks/page_size.py --run results --sheet config/samples.tsv --copies 23 --output F
"""

import argparse
import csv
import json
import shutil
from pathlib import Path

import pandas as pd
from relapsescope.clones.files import CLONE_FILES
from relapsescope.figures.draw import draw_figures
from relapsescope.figures.evidence import read_evidence
from relapsescope.figures.panel import panel_settings
from relapsescope.mechanisms.files import ANSWER_TABLES
from relapsescope.mechanisms.tables import EVIDENCE, table_path, write_answers
from relapsescope.paths import patient_paths
from relapsescope.report.page import build_report
from relapsescope.run.config_file import default_values

NAMED = ("patient_id", "sample_id", "compared_with", "reference_samples")
FOLDERS = ("tables", "course", "atlas", "clones")


def renamed(table: pd.DataFrame, copy: int, names: set[str]) -> pd.DataFrame:
    """Return a table with the names of one copy's patients and libraries."""
    own = {name: f"{name}x{copy}" for name in names}
    return table.assign(**{c: table[c].replace(own) for c in NAMED if c in table})


def copy_tables(run: Path, output: Path, copies: int, names: set[str]) -> None:
    """Write the cohort's tables of `copies` runs below `output`."""
    for path in (p for folder in FOLDERS for p in (run / folder).rglob("*") if p.is_file()):
        target = output / path.relative_to(run)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".tsv":
            table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, quoting=3)
            if set(NAMED[:2]) & set(table):
                table = pd.concat([renamed(table, i, names) for i in range(copies)])
            table.to_csv(target, sep="\t", index=False, quoting=csv.QUOTE_NONE, escapechar="\\")
        elif path.name == "cells.parquet":
            cells = pd.read_parquet(path)
            parts = [renamed(cells, i, names) for i in range(copies)]
            pd.concat(parts, ignore_index=True).to_parquet(target)
        else:
            shutil.copy(path, target)


def copy_parts(run: Path, output: Path, copy: int, sheet: pd.DataFrame, names: set[str]) -> None:
    """Write what one copy's libraries and patients have of their own."""
    for sample in sheet["sample_id"]:
        source = run / "libraries" / sample / "library.json"
        if source.is_file():
            target = output / "libraries" / f"{sample}x{copy}" / "library.json"
            target.parent.mkdir(parents=True)
            found = json.loads(source.read_text()) | {"sample_id": f"{sample}x{copy}"}
            target.write_text(json.dumps(found))
    for patient in dict.fromkeys(sheet["patient_id"]):
        old, new = (
            patient_paths(folder, name, CLONE_FILES)
            for folder, name in ((run, patient), (output, f"{patient}x{copy}"))
        )
        Path(new["summary"]).parent.mkdir(parents=True)
        for kind in ("cells", "cell_arms"):
            renamed(pd.read_parquet(old[kind]), copy, names).to_parquet(new[kind])
        summary = json.loads(Path(old["summary"]).read_text())
        Path(new["summary"]).write_text(json.dumps(summary | {"patient_id": f"{patient}x{copy}"}))


def main() -> None:
    """Make the cohort, its figures and its page, and print what they weigh."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--sheet", type=Path, required=True)
    parser.add_argument("--copies", type=int, default=23)
    parser.add_argument("--output", type=Path, required=True)
    wanted = parser.parse_args()
    config = default_values()
    sheet = pd.read_csv(wanted.sheet, sep="\t", dtype=str, keep_default_na=False)
    names = set(sheet["patient_id"]) | set(sheet["sample_id"])
    copy_tables(wanted.run, wanted.output, wanted.copies, names)
    for copy in range(wanted.copies):
        copy_parts(wanted.run, wanted.output, copy, sheet, names)
    parts = [renamed(sheet, i, names) for i in range(wanted.copies)]
    rows = pd.concat(parts).to_dict("records")
    patients = sorted({r["patient_id"] for r in rows if r["timepoint"] != "healthy"})
    write_answers(
        {name: str(table_path(wanted.output, name)) for name in EVIDENCE},
        {name: str(table_path(wanted.output, name)) for name in ANSWER_TABLES},
        sheet=rows,
        patients=patients,
        settings=config,
    )
    evidence = read_evidence(wanted.output, sheet=rows)
    draw_figures(evidence, wanted.output, settings=panel_settings(config))
    page = wanted.output / "report" / "index.html"
    build_report(wanted.output, page, config=config, versions={}, sheet=rows)
    print(f"{len(rows)} libraries, {len(patients)} patients: {page.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
