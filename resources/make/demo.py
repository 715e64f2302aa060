"""Write config/samples.tsv and config/clinical/ from a simulated demo cohort in demo/.

Run after a change of the simulator: `make demo-data && python resources/make/demo.py`. A test
holds the committed files to what the simulator writes.
"""

import csv
import shutil
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PATHS = ("matrix", "raw_matrix", "tcr_contigs", "bcr_contigs")


def demo_sheet(demo: Path) -> str:
    """Return the demo cohort's sheet with paths as seen from config/."""
    with open(demo / "samples.tsv", encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    for row in rows:
        row |= {name: f"../demo/{row[name]}" for name in PATHS if row[name]}
    return "".join("\t".join(row) + "\n" for row in [list(rows[0]), *(r.values() for r in rows)])


if __name__ == "__main__":
    (REPOSITORY / "config/samples.tsv").write_text(demo_sheet(REPOSITORY / "demo"))
    for table in (REPOSITORY / "demo/clinical").glob("*.tsv"):
        shutil.copy(table, REPOSITORY / "config/clinical" / table.name)
