r"""Antigens, ANXA1 and gene changes at relapse beside a simulated cohort's truth.

    relapsescope simulate COHORT --seed 31 --plan benchmarks/plans/antigen_losses.yaml
    snakemake --workflow-profile workflow/profiles/default --cores 2 \
        --config samples=COHORT/samples.tsv clinical= results=RESULTS -- RESULTS/tables/antigens.tsv
    python benchmarks/antigen_truth.py RESULTS COHORT \
        --plan benchmarks/plans/antigen_losses.yaml --seed 31

A true clone is looked for in the called clone that holds most of its cells. With plan and seed the
true change of every gene is computed again, from the clones' rates before any library's effect
(RESULTS/tables/programmes.tsv must have been made too).
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "workflow"))

from relapsescope.simulate.donors import donor  # noqa: E402
from relapsescope.simulate.expression import genome  # noqa: E402
from relapsescope.simulate.plan import read_plan  # noqa: E402

# Log2 changes that count as none, and as large.
UNCHANGED, LARGE = 0.2, 2.0
ALL = "all_malignant"


def read(path: Path) -> pd.DataFrame:
    """Return a table with all fields as text."""
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)


def called_clones(results: Path, cohort: Path) -> dict[tuple[str, str], str]:
    """Return the called clone of each library's true clone."""
    truth = pd.read_parquet(cohort / "truth/cells.parquet")
    truth = truth[truth["malignant"].astype(bool)][["sample_id", "barcode", "clone"]]
    paths = sorted(results.glob("patients/*/cells.parquet"))
    calls = pd.concat(
        pd.read_parquet(p, columns=["sample_id", "barcode", "clone_id"]) for p in paths
    )
    both = truth.merge(calls.dropna(), on=["sample_id", "barcode"])
    most = both.groupby(["sample_id", "clone"])["clone_id"].agg(lambda x: x.value_counts().index[0])
    return most.to_dict() | {(sample, ALL): ALL for sample in truth["sample_id"].unique()}


def antigens(results: Path, cohort: Path) -> pd.DataFrame:
    """Return each antigen of each relapse clone and of all malignant cells, truth and call."""
    truth = read(cohort / "truth/antigens.tsv")
    known = (truth["clone_id"] == ALL) | (truth["is_relapse_clone"] == "True")
    truth = truth[known & (truth["timepoint"] == "relapse")]
    clones = called_clones(results, cohort)
    truth["called"] = [clones.get((row.sample_id, row.clone_id), "") for row in truth.itertuples()]
    calls = read(results / "tables/antigens.tsv").rename(columns={"clone_id": "called"})
    keys = ["sample_id", "called", "antigen"]
    return truth.merge(calls[[*keys, "verdict", "ratio", "reason"]], on=keys, how="left").fillna("")


def anxa1(results: Path, cohort: Path) -> pd.DataFrame:
    """Return each compartment at relapse, truth and call."""
    truth = read(cohort / "truth/anxa1.tsv")
    calls = read(results / "tables/anxa1.tsv")
    keys = ["sample_id", "compartment"]
    columns = [*keys, "verdict", "did_log2_ratio", "reason"]
    both = truth.merge(calls[columns], on=keys, how="left").fillna("")
    return both[both["timepoint"] == "relapse"]


def gene_changes(results: Path, plan_path: Path, seed: int) -> pd.DataFrame:
    """Return each patient's genes compared, with the true log2 change beside the called one."""
    plan = read_plan(plan_path)
    genes = genome(plan.genes)
    table = pd.read_csv(results / "tables/programmes.tsv", sep="\t", low_memory=False)
    table = table[(table["comparison"] == "patient") & table["set_aside"].isna()]
    parts = []
    for patient in plan.patients:
        own = table[table["patient_id"] == patient.patient_id]
        if own.empty:
            continue
        person = donor(plan, patient, genes, seed)
        mixes = {
            library.timepoint: sum(part * person.clones[c] for c, part in library.clones.items())
            for library in patient.libraries
        }
        with np.errstate(divide="ignore", invalid="ignore"):
            true = np.log2(mixes["relapse"]) - np.log2(mixes["pre_infusion"])
        truth = pd.Series(true, index=genes.symbols.astype(str)).groupby(level=0).first()
        values = truth.reindex(own["gene"]).to_numpy()
        parts.append(own.assign(true=values - np.nanmedian(values)))
    return pd.concat(parts, ignore_index=True)


def report_genes(rows: pd.DataFrame) -> None:
    """Print coverage and calls by patient."""
    print("| patient | genes | intervals cover | unchanged called | fourfold called | wrong way |")
    print("|---|---|---|---|---|---|")
    rows = rows[rows["true"].notna()]
    low, high = rows["ci_low"].fillna(-np.inf), rows["ci_high"].fillna(np.inf)
    called = rows["change"].notna()
    rows = rows.assign(
        covered=(low <= rows["true"]) & (rows["true"] <= high),
        called=called,
        wrong=called & (np.sign(rows["did_log2_fold_change"]) != np.sign(rows["true"])),
    )
    for patient, own in [*rows.groupby("patient_id"), ("all", rows)]:
        same = own[own["true"].abs() < UNCHANGED]
        large = own[own["true"].abs() >= LARGE]
        print(
            f"| {patient} | {len(own):,} | {100 * own['covered'].mean():.1f} % | "
            f"{same['called'].sum()} of {len(same):,} | {large['called'].sum()} of {len(large)} | "
            f"{own['wrong'].sum()} |"
        )


def report(rows: pd.DataFrame, name: str, place: list[str], number: tuple[str, str]) -> None:
    """Print the confusion and every call that is not accepted."""
    right = [row.verdict in row.accept.split("|") for row in rows.itertuples()]
    print(f"### {name}: {sum(right)} of {len(rows)} right\n")
    counts = rows.groupby(["true_class", "verdict"]).size()
    print("| truth | call | rows |\n|---|---|---|")
    for (true, call), n in counts.items():
        print(f"| {true} | {call or 'no row'} | {n} |")
    print()
    for row in rows[[not one for one in right]].to_dict("records"):
        where = " ".join(row[key] for key in place)
        print(
            f"- {where}: {row['true_class']} ({row[number[0]]}) called {row['verdict'] or 'no row'}"
            f" ({row[number[1]]}): {row['reason']}"
        )
    print()


def main() -> None:
    """Print the two reports."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--plan", type=Path)
    parser.add_argument("--seed", type=int)
    arguments = parser.parse_args()
    report(
        antigens(arguments.results, arguments.cohort),
        "Antigens",
        ["sample_id", "clone_id", "antigen"],
        ("true_ratio", "ratio"),
    )
    report(
        anxa1(arguments.results, arguments.cohort),
        "ANXA1",
        ["sample_id", "compartment"],
        ("true_log2_ratio", "did_log2_ratio"),
    )
    if arguments.plan and arguments.seed is not None:
        report_genes(gene_changes(arguments.results, arguments.plan, arguments.seed))


if __name__ == "__main__":
    main()
