"""How well a minor subclone before CAR-T is found, by its share and the number of cells.

    python benchmarks/clone_power.py --output TABLE.md [--repeats 8]

Made patients (those of the unit tests): a clone with +1q and -13q before CAR-T, of which a subclone
with -16p and +8q besides makes up 1 to 5 %; at relapse the subclone is 90 %. 2,500 UMIs a cell.
"""

import argparse
import importlib.util
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "workflow"))

from relapsescope.clones.patient_clones import assess_patient  # noqa: E402

SHARES = (0.0, 0.01, 0.02, 0.03, 0.05)
CELLS = (100, 300, 1000)


def made_patients():
    """Return the module of the unit tests that makes patients."""
    path = REPOSITORY / "tests/cohorts/plasma_cell_cohort.py"
    spec = importlib.util.spec_from_file_location("plasma_cell_cohort", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def one(mock, world, panel, share: float, n_cells: int) -> dict[str, float]:
    """Return what is said of the subclone before CAR-T in one made patient."""
    first = world.clone("+1q;-13q")
    second = world.clone("-16p;+8q", parent=first)
    n_minor = int(world.rng.binomial(n_cells, share))
    before, truth = world.library(
        "pre",
        "pre_infusion",
        [(n_cells - n_minor, first, mock.CLONE), (n_minor, second, mock.CLONE)],
    )
    after, _ = world.library("rel", "relapse", [(20, first, mock.CLONE), (180, second, mock.CLONE)])
    settings = replace(mock.SETTINGS, clones=replace(mock.SETTINGS.clones, bootstraps=0))
    libraries = [before, after]
    result = assess_patient("P", libraries, mock.IDS, panel, [None] * 2, settings=settings, seed=1)
    rows = {(row["clone_id"], row["timepoint"]): row for row in result["clones"]}
    returned = [row["clone_id"] for row in result["clones"] if row["is_relapse_clone"]]
    row = rows.get((returned[0], "pre_infusion")) if returned else None
    split = len({row["clone_id"] for row in result["clones"]}) > 1
    if row is None or not split:
        return {"split": 0.0}
    cells = result["cells"]
    assigned = (cells["clone_id"] == returned[0])[: len(truth)]
    relation = rows[returned[0], "relapse"]["relation"]
    return {
        "split": 1.0,
        "found": float(row["n_cells"] > 0),
        "true": n_minor / n_cells,
        "counted": row["fraction"],
        "expected": row["expected_fraction"],
        "limit": row["detection_limit"],
        "false": float((assigned & (truth == 0)).sum() / max((truth == 0).sum(), 1)),
        "new": float(relation == "same_ig_new_subclone"),
        "not_assessable": float(relation == "not_assessable"),
    }


def main() -> None:
    """Write the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=8)
    arguments = parser.parse_args()
    started = time.process_time()
    mock = made_patients()
    world = mock.World(31)
    panel = world.panel()
    lines = [
        "| cells | true share | split | cells of it found | share counted | share expected |"
        " detection limit | old cells taken for it | new / not assessable |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for n_cells in CELLS:
        for share in SHARES:
            said = [one(mock, world, panel, share, n_cells) for _ in range(arguments.repeats)]
            split = [each for each in said if each["split"]]

            def mean(name: str, split: list = split) -> float:
                return float(np.mean([each[name] for each in split])) if split else np.nan

            cells = [
                str(n_cells),
                f"{100 * share:.0f} %",
                f"{len(split)} of {len(said)}",
                f"{100 * mean('found'):.0f} %",
                f"{100 * mean('counted'):.1f} %",
                f"{100 * mean('expected'):.1f} %",
                f"{100 * mean('limit'):.1f} %",
                f"{100 * mean('false'):.1f} %",
                f"{100 * mean('new'):.0f} % / {100 * mean('not_assessable'):.0f} %",
            ]
            lines.append("| " + " | ".join(cells) + " |")
    arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{time.process_time() - started:.0f} CPU s")


if __name__ == "__main__":
    main()
