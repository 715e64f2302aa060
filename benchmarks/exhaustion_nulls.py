"""Nulls and power of the exhaustion verdict: the tables in docs/car_t.md.

    python benchmarks/exhaustion_nulls.py --output TABLE.md [--nulls 500] [--power 100]

A patient's T cells are drawn at two visits (`tests/cohorts/t_cell_cohort.py`), 100 CAR-T cells at
the first, and compared as the workflow does. Every null changes what may pass for exhaustion.
"""

import argparse
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY / "workflow"), str(REPOSITORY / "tests" / "cohorts")]

from relapsescope.car_t.settings import ExhaustionSettings  # noqa: E402
from relapsescope.run.config_file import default_values  # noqa: E402
from relapsescope.settings import settings_of  # noqa: E402
from relapsescope.t_cells.settings import ScoreSettings  # noqa: E402
from t_cell_cohort import ACTIVATION, CHECKPOINTS, Visit, exhaustion_of, pair, verdict  # noqa: E402

CONFIG = default_values()
SETTINGS = settings_of(ExhaustionSettings, CONFIG["exhaustion"], name="exhaustion")
SCORES = settings_of(ScoreSettings, CONFIG["t_cell_scores"], name="t_cell_scores")
RESTING = {symbol: 1 / factor for symbol, factor in ACTIVATION.items()}
NULLS = {
    "alike, 20 CAR-T cells": pair(20),
    "alike, 60 CAR-T cells": pair(60),
    "depth halves": pair(40, later={"depth": 0.5}),
    "ambient plasma and myeloid RNA doubles (8 to 16 %)": pair(
        40, earlier={"foreign": 0.08}, later={"foreign": 0.16}
    ),
    "activation rises (38 genes x 5)": pair(40, later={"factors": ACTIVATION}),
    "activation and checkpoint receptors rise (x 5, x 2)": pair(
        40, later={"factors": ACTIVATION | CHECKPOINTS}
    ),
    "CD8 share falls from 80 to 40 %": pair(40, earlier={"cd8": 0.8}, later={"cd8": 0.4}),
    "no earlier CAR-T cells": [Visit("relapse", 300, 40)],
    "no earlier CAR-T cells, these activated": [Visit("relapse", 300, 40, factors=ACTIVATION)],
    "both exhausted (60 %)": pair(40, earlier={"exhausted": 0.6}, later={"exhausted": 0.6}),
}
CELLS = (10, 20, 40, 100)
SHARES = (0.25, 0.5, 0.75, 1.0)
WORDS = ("EXHAUSTED", "INDETERMINATE", "NOT_EXHAUSTED")


def verdicts(visits: list[Visit], n: int, first: int) -> dict[str, int]:
    """Return how often each verdict is given on the relapse."""
    found = dict.fromkeys(WORDS, 0)
    for seed in range(first, first + n):
        word, _ = verdict(exhaustion_of(visits, SETTINGS, SCORES, seed=seed), "P_relapse")
        found[word] += 1
    return found


def main() -> None:
    """Write both tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--nulls", type=int, default=500)
    parser.add_argument("--power", type=int, default=100)
    parser.add_argument("--only", default="", help="part of a null's name")
    parser.add_argument("--skip", type=int, default=0, help="leave out so many of the first nulls")
    wanted = parser.parse_args()
    lines = ["| null | simulations | " + " | ".join(WORDS) + " |", "|---" * 5 + "|"]
    started = time.process_time()
    for number, (name, visits) in enumerate(NULLS.items()):
        if wanted.nulls and number >= wanted.skip and wanted.only in name:
            found = verdicts(visits, wanted.nulls, 100_000 * (number + 1))
            lines.append(
                f"| {name} | {wanted.nulls} | " + " | ".join(map(str, found.values())) + " |"
            )
            wanted.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    header = " | ".join(f"{share:.0%} exhausted" for share in SHARES)
    lines += ["", f"| CAR-T cells at relapse | {header} |", "|---" * (len(SHARES) + 1) + "|"]
    for n_car in CELLS:
        row = []
        for share in SHARES if wanted.power else ():
            visits = pair(n_car, later={"exhausted": share})
            found = verdicts(visits, wanted.power, 10_000 * n_car + round(1000 * share))
            row.append(f"{found['EXHAUSTED'] / wanted.power:.0%}")
        lines.append(f"| {n_car} | " + " | ".join(row) + " |")
        wanted.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    lines.append(f"\n{time.process_time() - started:.0f} CPU s")
    wanted.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
