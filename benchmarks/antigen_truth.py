r"""Antigen and ANXA1 verdicts at relapse beside a simulated cohort's truth.

    relapsescope simulate COHORT --seed 31 --plan benchmarks/plans/antigen_losses.yaml
    snakemake --workflow-profile workflow/profiles/default --cores 2 \
        --config samples=COHORT/samples.tsv clinical= results=RESULTS -- RESULTS/tables/antigens.tsv
    python benchmarks/antigen_truth.py RESULTS COHORT

A true clone is looked for in the called clone that holds most of its cells.
"""

import argparse
from pathlib import Path

import pandas as pd

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


if __name__ == "__main__":
    main()
