"""The mechanisms' rules on true evidence: what they say where every step before them is right.

    python benchmarks/mechanism_rules.py COHORT [COHORT …]

A cohort is a folder of `relapsescope simulate`. Its `truth/` takes the place of the evidence tables
(only the course is computed, from the clinical tables), so what differs from the true mechanisms is
the rules' own doing. Counts of whole runs stand beside these in docs/mechanisms.md.
"""

import csv
import sys
from pathlib import Path

import pandas as pd

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "workflow"))

from relapsescope.course.clinical import read_clinical  # noqa: E402
from relapsescope.course.settings import CourseSettings  # noqa: E402
from relapsescope.course.tables import make_course_tables  # noqa: E402
from relapsescope.mechanisms.cited import rows_of  # noqa: E402
from relapsescope.mechanisms.tables import make_answers  # noqa: E402
from relapsescope.run.config_file import default_values  # noqa: E402

PERSISTS_FROM = 0.01


def true_evidence(cohort: Path, sheet: list[dict[str, str]]) -> dict[str, list[dict[str, str]]]:
    """Return the evidence tables of a cohort as they would be without any error."""
    samples = truth(cohort, "samples")
    failed = set(samples.loc[samples["expected_verdict"] == "fail", "sample_id"])
    clones = truth(cohort, "clones")
    clones = clones[~clones["sample_id"].isin(failed)].assign(
        cnv_evaluable="True",
        fraction_ci_low=clones["fraction"],
        share_before="0",
        reason="no sample before CAR-T",
    )
    antigens = truth(cohort, "antigens").rename(
        columns={"true_class": "verdict", "true_ratio": "ratio"}
    )
    ratio = pd.to_numeric(antigens["ratio"])
    antigens = antigens.assign(ratio_ci_low=0.8 * ratio, ratio_ci_high=1.25 * ratio + 0.01)
    course = make_course_tables(
        read_clinical(cohort / "clinical"),
        settings=CourseSettings(),
        bulk_folder=Path(),
        seed=1,
    )
    verdicts = samples["expected_verdict"].replace("", "pass")
    return {
        "samples": text(samples.assign(verdict=verdicts, reason="mostly debris")),
        "clones": text(clones),
        "antigens": text(antigens),
        "car_t": text(true_car_t(truth(cohort, "car_t"))),
        "suppression": true_suppression(truth(cohort, "mechanisms"), sheet, failed),
        **{name: text(course[name]) for name in ("course", "assessments", "genetics")},
        **{name: [] for name in ("anxa1", "anxa1_untreated", "bulk_summary")},
    }


def true_car_t(table: pd.DataFrame) -> pd.DataFrame:
    """Return CAR-T cells with the classes as verdicts."""
    share = pd.to_numeric(table["fraction_of_t"])
    there = ["PERSISTENT" if value >= PERSISTS_FROM else "NOT_PERSISTENT" for value in share]
    return table.assign(
        population="car_detected",
        n_cells=table["n_car"],
        n_t_cells="300",
        fraction_ci_low=0.6 * share,
        fraction_ci_high=1.5 * share + 0.008,
        detection_limit="0.01",
        persistence_verdict=there,
        exhaustion_verdict=table["exhaustion_class"].replace("", "INDETERMINATE"),
        proliferation_verdict=table["proliferation_class"],
        reason="no CAR-T cells",
    )


def true_suppression(
    mechanisms: pd.DataFrame, sheet: list[dict[str, str]], failed: set[str]
) -> list[dict[str, str]]:
    """Return the joint verdict of each relapse library that is not meant to fail."""
    wanted = mechanisms[mechanisms["mechanism"] == "suppressive_microenvironment"]
    raised = dict(zip(wanted["patient_id"], wanted["verdict"] == "SUPPORTED", strict=True))
    return [
        {
            "patient_id": row["patient_id"],
            "sample_id": row["sample_id"],
            "timepoint": "relapse",
            "measure": "overall",
            "verdict": "RAISED" if raised.get(row["patient_id"]) else "NOT_RAISED",
        }
        for row in sheet
        if row["timepoint"] == "relapse" and row["sample_id"] not in failed
    ]


def truth(cohort: Path, name: str) -> pd.DataFrame:
    """Return a table of the truth, all fields text."""
    return pd.read_csv(cohort / f"truth/{name}.tsv", sep="\t", dtype=str, keep_default_na=False)


def text(table: pd.DataFrame) -> list[dict[str, str]]:
    """Return a table's rows with all fields as text, missing ones empty."""
    return table.astype(object).where(table.notna(), "").astype(str).to_dict("records")


def compare(cohort: Path, config: dict) -> tuple[int, int, int, int]:
    """Print what differs, and return verdicts, right ones, patients, and right primary ones."""
    with (cohort / "samples.tsv").open(encoding="utf-8") as lines:
        sheet = list(csv.DictReader(lines, delimiter="\t"))
    evidence = true_evidence(cohort, sheet)
    tables = {name: rows_of(name, rows) for name, rows in evidence.items()}
    made = make_answers(tables, sheet, patients=[], settings=config)["mechanisms"]
    found = {(row["patient_id"], row["mechanism"]): row for row in made}
    expected = truth(cohort, "mechanisms")
    right = 0
    for row in expected.to_dict("records"):
        said = found[(row["patient_id"], row["mechanism"])]["verdict"]
        right += said in row["accept"].split("|")
        if said not in row["accept"].split("|"):
            print(f"{cohort.name} {row['patient_id']} {row['mechanism']}: {row['accept']} → {said}")
    agreed = 0
    for patient, own in expected.groupby("patient_id"):
        allowed = set(own.loc[own["primary_accept"] == "True", "mechanism"]) or {""}
        named = [m for (p, m), row in found.items() if p == patient and row["is_primary"]]
        agreed += (named or [""])[0] in allowed
        if (named or [""])[0] not in allowed:
            print(f"{cohort.name} {patient} primary: {sorted(allowed)} → {named}")
    return len(expected), right, expected["patient_id"].nunique(), agreed


def main() -> None:
    """Print what the rules say of each cohort beside its truth."""
    config = default_values()
    print("cohort\tverdicts\tright\tpatients\tprimary_right")
    for cohort in map(Path, sys.argv[1:]):
        print(cohort.name, *compare(cohort, config), sep="\t")


if __name__ == "__main__":
    main()
