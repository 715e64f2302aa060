"""Simulations behind docs/programmes.md: coverage and false calls of one patient; PyDESeq2's test.

    python benchmarks/programme_nulls.py --output TABLE.md [--simulations 20]

Pseudobulks with library effects, ambient RNA and cells that differ are simulated
(tests/cohorts/programme_cohort.py); the functions of the workflow do the rest.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "workflow"))
sys.path.insert(0, str(REPOSITORY / "tests/cohorts"))

from programme_cohort import (  # noqa: E402
    MIN_REFERENCE_UMI,
    SETTINGS,
    World,
    simulated_pairs,
)
from relapsescope.programmes.paired_test import test_over_patients  # noqa: E402

WORLDS = (
    ("usual libraries", World()),
    ("20 % ambient", World(ambient=0.2)),
    ("1,500 UMI a cell", World(depth=1500)),
    ("25 cells", World(n_cells=25)),
    ("cells that differ much (dispersion 3)", World(dispersion=3.0)),
    ("library shifts of 0.3", World(shared_sd=0.24, own_sd=0.18)),
    ("5 % of the genes change fourfold", World(changed=0.05, log2_change=2.0)),
    ("a quarter of the genes change fourfold", World(changed=0.25, log2_change=2.0)),
)


def patient_table(n: int) -> list[str]:
    """Return coverage of one patient's intervals and calls of unchanged and changed genes."""
    lines = [
        "| one patient | genes | intervals cover | unchanged called | fourfold called |",
        "|---|---|---|---|---|",
    ]
    for number, (name, world) in enumerate(WORLDS):
        rng = np.random.default_rng([11, number])
        covered, false, found = [], [], []
        for _ in range(n):
            (pair,), truth = simulated_pairs(rng, world, 1)
            got = pair.changes(world.effects, SETTINGS, MIN_REFERENCE_UMI)
            use = got.aside == ""
            covered += list((got.low <= truth[0])[use] & (got.high >= truth[0])[use])
            called = got.direction != ""
            false += list(called[use & (truth[0] == 0)])
            found += list(called[use & (np.abs(truth[0]) >= 1.9)])
        power = f"{100 * np.mean(found):.0f} %" if found else ""
        lines.append(
            f"| {name} | {len(covered):,} | {100 * np.mean(covered):.1f} % | "
            f"{np.sum(false)} of {len(false):,} | {power} |"
        )
    return lines


def cohort_table(n: int) -> list[str]:
    """Return p-values of the null and the realised false discovery rate of PyDESeq2's test."""
    lines = [
        "| patients | null: p < 0.05 | null: p < 0.01 | null cohorts with a discovery | "
        "10 % change threefold: false discoveries | found |",
        "|---|---|---|---|---|---|",
    ]
    for patients in (2, 3, 4, 6, 10):
        rng = np.random.default_rng([12, patients])
        values, cohorts, false, called, found, true = [], [], 0, 0, 0, 0
        for _ in range(n):
            pairs, _ = simulated_pairs(rng, World(n_genes=300), patients)
            test = test_over_patients(pairs, SETTINGS)
            values += list(test.p_value[np.isfinite(test.p_value)])
            cohorts.append((test.adjusted < SETTINGS.false_discovery_rate).any())
            world = World(n_genes=300, changed=0.1, log2_change=np.log2(3), patients_sd=0.4)
            pairs, truth = simulated_pairs(rng, world, patients)
            test = test_over_patients(pairs, SETTINGS)
            hit = test.adjusted < SETTINGS.false_discovery_rate
            changed = np.abs(truth).max(axis=0) > 0
            false += int((hit & ~changed).sum())
            called += int(hit.sum())
            found += int((hit & changed).sum())
            true += int(changed.sum())
        lines.append(
            f"| {patients} | {100 * np.mean(np.array(values) < 0.05):.1f} % | "
            f"{100 * np.mean(np.array(values) < 0.01):.1f} % | {sum(cohorts)} of {len(cohorts)} | "
            f"{100 * false / max(called, 1):.1f} % of {called} | {100 * found / true:.0f} % |"
        )
    return lines


def main() -> None:
    """Write the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--simulations", type=int, default=20)
    arguments = parser.parse_args()
    started = time.process_time()
    parts = [
        ("One patient", patient_table(arguments.simulations)),
        ("Over patients", cohort_table(arguments.simulations)),
    ]
    lines = []
    for title, table in parts:
        lines += [f"### {title}", "", *table, ""]
    arguments.output.write_text("\n".join(lines), encoding="utf-8")
    print(f"{time.process_time() - started:.0f} CPU s")


if __name__ == "__main__":
    main()
