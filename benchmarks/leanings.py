"""What leanings are worth: of mechanisms that lean with 0.8, how many are true?

    python benchmarks/leanings.py --output TABLE.md [--patients 4000] [--seed 20]

Patients are drawn at the mechanism layer: what is true of each, and evidence rows as the tables of
a run would hold them, with errors of the size that libraries of 200 to 800 cells have. The rules of
the workflow read them. How the truth is spread here is not what the leanings believe
(`config.yaml`, section `leaning`): ratios of clones that lost the target, shares of CAR-T cells and
effects of exhaustion come from distributions of their own. Marrows are simulated as in
`benchmarks/suppression_nulls.py`.

    python benchmarks/leanings.py --fit [--marrows 40] [--seed 101]

prints what `leaning.suppression_middle` and `leaning.suppression_width` were taken from: a logistic
regression of "rose" on minus log10 of the adjusted p among undecided marrows, weighted to even
odds.
Fit and table must use different seeds.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import optimize, stats

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY / "workflow"), str(REPOSITORY / "benchmarks")]

import suppression_nulls as marrows  # noqa: E402
from relapsescope.car_t.exhaustion import exhaustion_leaning  # noqa: E402
from relapsescope.course.settings import CourseSettings  # noqa: E402
from relapsescope.mechanisms.cited import rows_of  # noqa: E402
from relapsescope.mechanisms.patient_evidence import PatientEvidence, patient_evidence  # noqa: E402
from relapsescope.mechanisms.verdicts import mechanism_rows  # noqa: E402
from relapsescope.microenvironment.settings import SuppressionSettings  # noqa: E402
from relapsescope.microenvironment.suppression import OVERALL, suppression_rows  # noqa: E402
from relapsescope.run.config_file import default_values  # noqa: E402
from relapsescope.settings import settings_of  # noqa: E402
from relapsescope.statistics.leanings import small_share_leaning  # noqa: E402
from relapsescope.statistics.settings import LeaningSettings  # noqa: E402
from relapsescope.vocabulary import NOT_ASSESSABLE  # noqa: E402

CONFIG = default_values()
BELIEFS = settings_of(LeaningSettings, CONFIG["leaning"], name="leaning")
SUPPRESSION = settings_of(SuppressionSettings, CONFIG["suppression"], name="suppression")
ROSE = tuple(
    replace(marrows.BASE, name=f"{share:.0%}, {cells} cells", suppressed=share, cells=cells)
    for share in (0.2, 0.3, 0.5, 0.7)
    for cells in (150, 300, 800)
)
FLAT = (
    *marrows.NULLS,
    replace(marrows.BASE, name="150 cells", cells=150),
)
BINS = ((0.0, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1.01))
# The primary one of several that are true, as the rules argue (resources/mechanism_rules.yaml).
ORDER = (
    *("antigen_escape", "car_t_non_persistence", "suppressive_microenvironment"),
    *("t_cell_exhaustion", "residual_disease"),
)
# Patients whose response is not known, and the cells of their remission marrow.
UNKNOWN_RESPONSE, REMISSION_CELLS = 0.2, 500
SHARE_TRUE = {
    "antigen_escape": 0.2,
    "car_t_non_persistence": 0.3,
    "suppressive_microenvironment": 0.25,
    "t_cell_exhaustion": 0.25,
    "residual_disease": 0.4,
}


def marrow_pool(rng: np.random.Generator, n: int) -> dict[bool, list[dict[str, str]]]:
    """Return joint rows of relapse marrows in which suppression rose, and in which it did not."""
    pool: dict[bool, list[dict[str, str]]] = {True: [], False: []}
    for rose, scenarios in ((True, ROSE), (False, FLAT)):
        for scenario in scenarios:
            for _ in range(n):
                rows = suppression_rows(*marrows.simulate(rng, scenario), SUPPRESSION)
                (joint,) = [row for row in rows if row["measure"] == OVERALL]
                pool[rose].append({k: "" if v is None else str(v) for k, v in joint.items()})
    return pool


def fit(pool: dict[bool, list[dict[str, str]]]) -> tuple[float, float, int]:
    """Return middle and width of the logistic curve, and the undecided marrows it rests on."""
    score, rose = [], []
    for truth, rows in pool.items():
        for row in rows:
            if row["verdict"] == "INDETERMINATE" and row["p_adjusted"] not in ("", "nan"):
                score.append(-np.log10(max(float(row["p_adjusted"]), 1e-6)))
                rose.append(truth)
    score, rose = np.array(score), np.array(rose)
    weight = np.where(rose, 1 / rose.sum(), 1 / (~rose).sum())

    def loss(curve: np.ndarray) -> float:
        z = (score - curve[0]) / np.exp(curve[1])
        return float((weight * np.logaddexp(0, np.where(rose, -z, z))).sum())

    middle, width = optimize.minimize(loss, [0.5, -1.5], method="Nelder-Mead").x
    return float(middle), float(np.exp(width)), len(score)


def draw_patient(
    rng: np.random.Generator, pool: dict[bool, list[dict[str, str]]]
) -> tuple[set[str], PatientEvidence]:
    """Return what is true of a patient, and the evidence."""
    true = {name for name, share in SHARE_TRUE.items() if rng.random() < share}
    if "car_t_non_persistence" in true:
        true.discard("t_cell_exhaustion")
    base = {"patient_id": "P", "sample_id": "P_relapse", "timepoint": "relapse"}
    rows = pool["suppressive_microenvironment" in true]
    left = base | {"sample_id": "P_remission", "timepoint": "remission"}
    left["n_malignant"] = str(malignant_left(rng, "residual_disease" in true))
    known = rng.random() >= UNKNOWN_RESPONSE
    tables = {
        "samples": [
            {"sample_id": "P_relapse", "verdict": "pass", "reason": "made"},
            {"sample_id": "P_remission", "verdict": "pass", "reason": "made"}
            | {"n_pass": str(REMISSION_CELLS)},
        ],
        "clones": [
            base
            | {"clone_id": "A", "is_relapse_clone": "True", "n_cells": "150"}
            | {"relation": "not_assessable", "reason": "made", "n_malignant": "150"},
            left,
        ],
        "antigens": [base | {"clone_id": "A", "n_cells": "150"} | target_row(rng, true)],
        "car_t": car_t_rows(rng, base, true),
        "suppression": [rows[rng.integers(len(rows))] | base],
        "course": [
            {"patient_id": "P", "line": "1", "therapy_class": "car_t", "start_day": "0"}
            | {"best_response": "VGPR" if "residual_disease" in true else "CR"}
            | {"mrd_status": "negative", "mrd_day": "84", "best_response_day": "84"}
            | ({} if known else {"best_response": "NE", "reason": "made"})
        ],
        "assessments": [],
    }
    sheet = [base | {"day": "300", "tissue": "bone_marrow"}]
    sheet.append(left | {"day": "90", "tissue": "bone_marrow", "sorting": "none"})
    found = {name: rows_of(name, made) for name, made in tables.items()}
    limits = {k: CONFIG["antigens"][k] for k in ("car_target", "lost_below", "reduced_below")}
    return true, patient_evidence(
        "P", found, sheet, beliefs=BELIEFS, course=CourseSettings(), **limits
    )


def malignant_left(rng: np.random.Generator, residual: bool) -> int:
    """Return the malignant cells called in a remission marrow; one in 2,000 is falsely called."""
    share = np.exp(rng.uniform(np.log(0.001), np.log(0.05))) if residual else 0.0
    return int(rng.binomial(REMISSION_CELLS, share + 0.0005))


def target_row(rng: np.random.Generator, true: set[str]) -> dict[str, str]:
    """Return the target's row: a true ratio, seen with an error of its logarithm of 0.1 to 0.8."""
    ratio = np.exp(rng.normal(0, 0.3))
    while ratio < CONFIG["antigens"]["reduced_below"]:
        ratio = np.exp(rng.normal(0, 0.3))
    if "antigen_escape" in true:
        ratio = rng.uniform(0.002, 0.04) if rng.random() < 0.6 else rng.uniform(0.12, 0.55)
    error = rng.uniform(0.1, 0.8)
    seen = float(np.exp(np.log(ratio) + rng.normal(0, error)))
    low, high = seen * np.exp(-1.96 * error), seen * np.exp(1.96 * error)
    limits = CONFIG["antigens"]
    verdict = "INDETERMINATE"
    if high < limits["lost_below"]:
        verdict = "LOST"
    elif high < limits["reduced_below"]:
        verdict = "REDUCED"
    elif seen >= limits["reduced_below"] and low > limits["lost_below"]:
        verdict = "RETAINED"
    return {
        "antigen": limits["car_target"], "antigen_umi": "50", "expected_umi": "100",
        "reference": "pre_treatment_clone", "ratio": f"{seen:.5g}", "ratio_ci_low": f"{low:.5g}",
        "ratio_ci_high": f"{high:.5g}", "verdict": verdict, "reason": "made",
    }  # fmt: skip


def car_t_rows(
    rng: np.random.Generator, base: dict[str, str], true: set[str]
) -> list[dict[str, str]]:
    """Return CAR-T cells at the peak, and at relapse as counted and as scored."""
    n, seen = int(rng.integers(30, 400)), rng.uniform(0.4, 0.9)
    share = np.exp(rng.uniform(np.log(0.015), np.log(0.3)))
    if "car_t_non_persistence" in true:
        share = rng.uniform(0.0, 0.006)
    count = int(rng.binomial(n, share * seen))
    interval = stats.beta.ppf([0.025, 0.975], count + 0.5, n - count + 0.5) / seen
    limit = 1 - 0.05 ** (1 / (n * seen))
    persistence = "INDETERMINATE"
    if interval[0] >= 0.01:
        persistence = "PERSISTENT"
    elif interval[1] < 0.01 or (not count and limit <= 0.02):
        persistence = "NOT_PERSISTENT"
    exhausted = "t_cell_exhaustion" in true
    effect = 1.2 * rng.uniform(0.4, 1.0) if exhausted else rng.normal(0, 0.08)
    error = rng.uniform(0.15, 0.45)
    joint = effect + rng.normal(0, error)
    low, high = joint - 1.645 * error, joint + 1.645 * error
    verdict = "INDETERMINATE"
    if count >= 10 and joint / error > stats.norm.isf(CONFIG["exhaustion"]["max_joint_p"]):
        verdict = "EXHAUSTED"
    elif count >= 10 and high < CONFIG["exhaustion"]["absent_effect"]:
        verdict = "NOT_EXHAUSTED"
    leaning = exhaustion_leaning(joint, low, high, BELIEFS) if count >= 10 else None
    there = small_share_leaning(count, n, 0.01, detected=seen, prior=BELIEFS.gone)
    relapse = {
        "population": "car_detected", "n_cells": str(count), "n_t_cells": str(n),
        "fraction_of_t": f"{count / n / seen:.5g}", "fraction_ci_low": f"{interval[0]:.5g}",
        "fraction_ci_high": f"{interval[1]:.5g}", "detection_limit": f"{limit:.4g}",
        "persistence_verdict": persistence, "persistence_reason": "made", "reason": "made",
        "persistence_leaning": "" if persistence != "INDETERMINATE" else f"{there:.4g}",
        "exhaustion_verdict": verdict, "proliferation_verdict": "INDETERMINATE",
        "exhaustion_leaning": f"{leaning:.4g}" if verdict == "INDETERMINATE" and leaning else "",
    }  # fmt: skip
    peak = {
        "patient_id": "P", "sample_id": "P_expansion", "timepoint": "expansion",
        "population": "car_detected", "n_cells": "60", "fraction_ci_low": "0.2",
        "persistence_verdict": "PERSISTENT",
    }  # fmt: skip
    return [peak, base | relapse]


def table(n: int, pool: dict[bool, list[dict[str, str]]], rng: np.random.Generator) -> list[str]:
    """Return how often leanings and primary leanings are true, as Markdown."""
    leanings: list[tuple[str, float, bool]] = []
    shown = {"named": [0, 0], "leaning": [0, 0], "none": [0, 0]}
    false_supported = decided = open_ones = 0
    for _ in range(n):
        true, patient = draw_patient(rng, pool)
        primary = next((name for name in ORDER if name in true), "")
        rows = mechanism_rows(patient)
        for row in rows:
            name = row["mechanism"]
            if name not in ORDER:
                continue
            decided += row["verdict"] != NOT_ASSESSABLE
            open_ones += row["verdict"] == NOT_ASSESSABLE
            false_supported += row["verdict"] == "SUPPORTED" and name not in true
            if row["leaning"] == row["leaning"]:
                leanings.append((name, row["leaning"], name in true))
        named = [row["mechanism"] for row in rows if row["is_primary"]]
        likely = [row["mechanism"] for row in rows if row["primary_leaning"]]
        kind = "named" if named else "leaning" if likely else "none"
        shown[kind][0] += ([*named, *likely, ""])[0] == primary
        shown[kind][1] += 1
    lines = ["| mechanism | " + " | ".join(f"{a:g} to {min(b, 1):g}" for a, b in BINS) + " |"]
    lines.append("|---" * (len(BINS) + 1) + "|")
    for name in (*ORDER, ""):
        own = [(p, t) for m, p, t in leanings if name in ("", m)]
        cells = []
        for low, high in BINS:
            inside = [t for p, t in own if low <= p < high]
            share = f" ({100 * np.mean(inside):.0f} %)" if inside else ""
            cells.append(f"{sum(inside)} of {len(inside)}{share}")
        lines.append(f"| {(name or 'all').replace('_', ' ')} | " + " | ".join(cells) + " |")
    lines += ["", f"{decided} verdicts, {false_supported} SUPPORTED falsely; {open_ones} open."]
    for kind, (right, total) in shown.items():
        lines.append(f"Primary {kind}: {right} of {total} right.")
    return lines


def main() -> None:
    """Write the table, or print the fit."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--output", type=Path)
    parser.add_argument("--patients", type=int, default=4000)
    parser.add_argument("--marrows", type=int, default=40)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--fit", action="store_true")
    wanted = parser.parse_args()
    rng = np.random.default_rng(wanted.seed)
    pool = marrow_pool(rng, wanted.marrows)
    if wanted.fit:
        middle, width, n = fit(pool)
        print(f"middle {middle:.3f}, width {width:.3f} from {n} undecided marrows")
        return
    lines = table(wanted.patients, pool, rng)
    wanted.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
