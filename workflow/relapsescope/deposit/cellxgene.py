"""A cohort as CELLxGENE's schema asks for it: terms of ontologies instead of words."""

import csv
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
from anndata.io import write_elem

from relapsescope.deposit.objects import (
    TITLE,
    Selection,
    append_counts,
    cell_names,
    typed_frame,
)
from relapsescope.errors import InputProblem
from relapsescope.intake.genes import gene_table
from relapsescope.paths import RESOURCES
from relapsescope.tables import whole_file

TERMS = RESOURCES / "ontology.tsv"
RETIRED = RESOURCES / "retired_genes.tsv"
HUMAN = "NCBITaxon:9606"
UNKNOWN = "unknown"
CULTURE = "infusion_product"
"""The tissue whose cells grew outside a body."""
RESERVED = ("cell_type", "tissue", "assay", "disease", "sex", "development_stage", "organism")
"""Columns that CELLxGENE fills in from the terms; ours of that name get a prefix."""
PREFIX = "relapsescope_"


@lru_cache
def terms(kind: str) -> dict[str, str]:
    """Return the ontology term of each word of a kind; that of every other word under ``""``."""
    with TERMS.open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(lines, delimiter="\t")
        return {row["value"]: row["term"] for row in rows if row["kind"] == kind}


@lru_cache
def retired_genes() -> frozenset[str]:
    """Return Ensembl IDs of the shipped gene table that the schema's GENCODE release lacks."""
    with RETIRED.open(encoding="utf-8", newline="") as lines:
        return frozenset(row["gene_id"] for row in csv.DictReader(lines, delimiter="\t"))


def assay_term(chemistry: str) -> str:
    """Return the term of a chemistry as a sheet has it: ``10x 3' v3``, ``10X 5' v2 HT``, ….

    The longest name that the text begins with counts; case, and ``prime`` for ``'``, do not.
    """
    plain = " ".join(chemistry.lower().replace("prime", "'").replace("′", "'").split())
    plain = plain.replace("3 '", "3'").replace("5 '", "5'")
    known = {name.lower(): term for name, term in terms("assay").items()}
    names = sorted((name for name in known if plain.startswith(name)), key=len)
    return known[names[-1]]


def tissue_terms(libraries: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the term of each library's tissue, by name.

    Raises
    ------
    InputProblem
        For each library whose tissue or site has none.
    """
    known, found, problems = terms("tissue"), {}, []
    for library in libraries:
        place = library.get("site") or library["tissue"]
        if place in known:
            found[library["sample_id"]] = known[place]
        else:
            problems.append(
                f"{TERMS.name}: no term for the tissue {place!r} of {library['sample_id']}; add a "
                "row with its term of Uberon"
            )
    if problems:
        raise InputProblem(*dict.fromkeys(problems))
    return found


def write_cellxgene(
    selection: Selection, output: Path, *, libraries: Sequence[Mapping[str, Any]]
) -> None:
    """Write an `.h5ad` by the schema of CELLxGENE Discover (7.1): counts in `raw`, terms in `obs`.

    What nobody told (sex, age, ethnicity) is `unknown`. Genes that the shipped table does not
    know, or that GENCODE has retired since, are left out: the schema takes no other.

    Parameters
    ----------
    libraries
        The sheet's rows: `sample_id`, `timepoint`, `tissue`, `chemistry`, and `site` where given.

    Raises
    ------
    InputProblem
        Where a tissue has no term.
    """
    known = np.isin(selection.gene_ids, list(set(gene_table().gene_ids) - retired_genes()))
    selection = Selection(
        selection.cells,
        selection.counts,
        selection.rows,
        selection.gene_ids[known],
        selection.symbols[known],
    )
    obs = _observations(selection.cells, libraries)
    var = pd.DataFrame(index=pd.Index(selection.gene_ids, dtype=object))
    frame = anndata.AnnData(obs=obs, var=var.assign(feature_is_filtered=False))
    umap = selection.cells[["umap_1", "umap_2"]].to_numpy(np.float32, na_value=np.nan)
    frame.obsm["X_umap"] = umap
    frame.uns["title"] = TITLE
    frame.uns["organism_ontology_term_id"] = HUMAN
    with whole_file(output) as partial:
        with anndata.settings.override(allow_write_nullable_strings=False):
            frame.write_h5ad(partial, compression="gzip")
        with h5py.File(partial, "r+") as file:
            raw = file.create_group("raw")
            raw.attrs["encoding-type"], raw.attrs["encoding-version"] = "raw", "0.1.0"
            write_elem(raw, "var", var)
            write_elem(raw, "varm", {})
        append_counts(partial, selection, counts_at="raw/X")


def _observations(cells: pd.DataFrame, libraries: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    rows = {library["sample_id"]: library for library in libraries}
    tissues = tissue_terms([rows[name] for name in dict.fromkeys(cells["sample_id"])])
    samples = cells["sample_id"].astype(str)
    known = terms("cell_type")
    types = cells["cell_type"].astype(object).where(cells["cell_type"].notna(), "")
    of_disease = terms("disease")
    own = cells.drop(columns=["umap_1", "umap_2"])
    own = own.rename(columns={name: PREFIX + name for name in RESERVED})
    obs = typed_frame(own.dropna(axis=1, how="all"))
    for name in obs.columns:
        if obs[name].dtype == "boolean":
            obs[name] = obs[name].astype(str).replace("<NA>", np.nan).astype("category")
    values = {
        "donor_id": cells["patient_id"].astype(str),
        "cell_type_ontology_term_id": types.map(lambda word: known.get(word, known[""])),
        "tissue_ontology_term_id": samples.map(tissues),
        "tissue_type": samples.map(
            lambda name: "cell culture" if rows[name]["tissue"] == CULTURE else "tissue"
        ),
        "assay_ontology_term_id": samples.map(
            {name: assay_term(row.get("chemistry") or "") for name, row in rows.items()}
        ),
        "disease_ontology_term_id": samples.map(
            lambda name: of_disease.get(rows[name]["timepoint"], of_disease[""])
        ),
        "suspension_type": pd.Series("cell", index=cells.index),
        "development_stage_ontology_term_id": pd.Series(UNKNOWN, index=cells.index),
        "self_reported_ethnicity_ontology_term_id": pd.Series(UNKNOWN, index=cells.index),
        "sex_ontology_term_id": pd.Series(UNKNOWN, index=cells.index),
    }
    for name, column in values.items():
        obs[name] = column.astype("category")
    obs["is_primary_data"] = True
    obs.index = cell_names(cells)
    return obs
