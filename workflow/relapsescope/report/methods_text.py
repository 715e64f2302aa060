"""How it was done, in words: from the parameters and versions of a run and what it could apply."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from relapsescope import __version__
from relapsescope.figures.evidence import Evidence
from relapsescope.reference.files import NONE
from relapsescope.reference.manifest import reference_of
from relapsescope.vocabulary import SHIPPED

TEXTS = jinja2.Environment(
    loader=jinja2.PackageLoader("relapsescope.report", "templates"),
    autoescape=False,  # plain text; the page escapes it
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)
STEPS = {
    "programmes": ("programmes", "log2_fold_change"),
    "car_t": ("car_t", "fraction_of_t"),
    "t_cell_states": ("t_cell_states", "n_cells"),
    "clonotypes": ("clonotypes", "clonotype_id"),
    "suppression": ("suppression", "value"),
    "interactions": ("interactions", "ligand_cpm"),
    "mechanisms": ("mechanisms", "verdict"),
}
"""Table and column in which a step has a value where it applied."""


def methods_text(
    evidence: Evidence, results: Path, *, config: Mapping[str, Any], versions: Mapping[str, str]
) -> str:
    """Return the methods of this run as text: `## Title` before each step's paragraphs.

    A step that did not apply says why. The same run gives the same text.

    Parameters
    ----------
    results
        The run's folder, for the tables that say whether a step applied.
    config
        The whole configuration.
    versions
        Version by software; unknown ones are not named.
    """
    cells, verdicts = evidence.cells, list(evidence.verdicts.values())
    text = TEXTS.get_template("methods.md").render(
        c=config,
        v=versions,
        version=versions.get("relapsescope", __version__),
        cited=_cited(versions),
        n={
            "libraries": _grouped(len(verdicts)),
            "failed": verdicts.count("fail"),
            "people": evidence.n_patients(),
            "barcodes": _grouped(len(cells)),
            "kept": _grouped(int(cells["qc_pass"].sum())),
            "mapped": _grouped(int(cells["umap_1"].notna().sum())),
        },
        ambient={
            library.get("ambient_source")
            for library in evidence.libraries.values()
            if library.get("ambient_fraction") is not None
        },
        reference=(reference_of(config) or {}) | {"placed": is_placed(results, config)},
        panel={"n_cells": 0, "n_donors": 0, "reason": "", **evidence.normal_plasma},
        applied={
            "map": bool(cells["umap_1"].notna().any()),
            "plasma": not evidence.clonal["plasma"].empty,
            "clones": not evidence.clonal["clones"].empty,
            "antigens": not evidence.molecular["antigens"].empty,
            "course": not evidence.course["course"].empty,
            **{
                step: has_values(results / "tables" / f"{table}.tsv", column)
                for step, (table, column) in STEPS.items()
            },
        },
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def paragraphs(text: str) -> list[tuple[str, list[str]]]:
    """Return the title and the paragraphs of each step of `methods_text`."""
    parts = [part.partition("\n") for part in text.removeprefix("## ").split("\n## ")]
    return [(title, body.strip().split("\n\n")) for title, _, body in parts]


def has_values(path: Path, column: str) -> bool:
    """Return whether a table is there and has a value in the column."""
    if not path.is_file():
        return False
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    return column in table and bool((table[column] != "").any())


def is_placed(results: Path, config: Mapping[str, Any]) -> bool:
    """Return whether cells were placed on a reference's atlas instead of one of their own."""
    # A table of an earlier run on a reference says nothing of this one.
    frozen = config.get("reference", NONE) not in (NONE, SHIPPED)
    return frozen and (results / "tables/novelty.tsv").is_file()


def _cited(versions: Mapping[str, str]) -> Callable[..., str]:
    def cited(*names: str) -> str:
        """Return `` (name version, …)`` of what is known; nothing where nothing is."""
        known = [f"{name} {versions[name]}" for name in names if name in versions]
        return f" ({', '.join(known)})" if known else ""

    return cited


def _grouped(number: int) -> str:
    return f"{number:,}"
