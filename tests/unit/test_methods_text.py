"""The methods in words: what ran, with which numbers, and why a step did not."""

import copy
import dataclasses
import re

import pandas as pd
import pytest
from relapsescope.figures.evidence import read_evidence
from relapsescope.report.methods_text import methods_text, paragraphs
from relapsescope.run.config_file import default_values

from ..cohorts.small_run import write_results

VERSIONS = {"relapsescope": "0.1.0", "scvi-tools": "1.4.2", "umap-learn": "0.5.12"}


@pytest.fixture(scope="module")
def config():
    return default_values()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    return results, read_evidence(results, sheet=write_results(results))


def written(run, config, **changes):
    results, evidence = run
    evidence = dataclasses.replace(evidence, **changes)
    text = methods_text(evidence, results, config=config, versions=VERSIONS)
    return {title: " ".join(texts) for title, texts in paragraphs(text)}


def test_every_step_is_told_in_plain_text(run, config):
    steps = written(run, config)
    assert list(steps) == [
        "Libraries and quality of cells",
        "Lineages and cell types",
        "Atlas",
        "Malignant cells and clones",
        "Antigens, ANXA1 and targets",
        "Gene programmes of the relapse clones",
        "CAR-T cells",
        "T-cell states and clonotypes",
        "Microenvironment",
        "Mechanisms of relapse",
        "Clinical course",
        "Reproducibility",
    ]
    for text in steps.values():
        assert text.strip()
        assert re.findall(r"[{}]|\bNone\b|\bnan\b|  | [.,]|,,|\.\.", text) == []


def test_the_numbers_are_those_of_this_run(run, config):
    changed = copy.deepcopy(config)
    changed["seed"] = 77
    changed["antigens"]["lost_below"] = 0.123
    changed["atlas"]["resolution"] = 0.456
    before, after = written(run, config), written(run, changed)
    assert "seed 77" in after["Reproducibility"]
    assert "under 0.123" in after["Antigens, ANXA1 and targets"]
    assert "resolution 0.456" in after["Atlas"]
    assert "(scvi-tools 1.4.2)" in after["Atlas"]
    differing = {title for title in before if before[title] != after[title]}
    assert differing == {"Reproducibility", "Antigens, ANXA1 and targets", "Atlas"}
    _, evidence = run
    n_kept = int(evidence.cells["qc_pass"].sum())
    assert (
        f"{n_kept} of {len(evidence.cells)} barcodes were kept"
        in (before["Libraries and quality of cells"])
    )
    assert "1 library failed" in before["Libraries and quality of cells"]


def test_a_step_that_did_not_apply_says_why(run, config):
    _, evidence = run
    steps = written(
        run,
        config,
        cells=evidence.cells.assign(umap_1=float("nan")),
        clonal={**evidence.clonal, "clones": pd.DataFrame(), "plasma": pd.DataFrame()},
        molecular={name: pd.DataFrame() for name in evidence.molecular},
        course={name: pd.DataFrame() for name in evidence.course},
    )
    for title in (
        "Atlas",
        "Malignant cells and clones",
        "Antigens, ANXA1 and targets",
        "Clinical course",
    ):
        assert steps[title].startswith("Did not apply: "), title
    assert not steps["Lineages and cell types"].startswith("Did not apply")
