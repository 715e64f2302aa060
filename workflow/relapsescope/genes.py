"""Genes by Ensembl ID: the shipped table and the classes that the steps treat apart."""

import csv
import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from relapsescope.paths import RESOURCES

CLASS_PATTERNS = {
    "mitochondrial": r"^MT-",
    "ribosomal": r"^RP[LS]\d+[AXLY]?\d*$|^RPLP[012]$|^RPSA$",
    "immunoglobulin": r"^IG[HKL][VDJ]\S*$|^IGKC$|^IGLC\d$|^IGLL5$|^IGH[ADEGM]\d?P?$",
    "immunoglobulin_variable": r"^IG[HKL]V",
    "kappa_constant": r"^IGKC$",
    "lambda_constant": r"^IGLC\d$",
    "heavy_constant": r"^IGH(A[12]|E|G[1-4P]P?|M|D)$",
    "t_cell_receptor_variable": r"^TR[ABDG][VDJ]",
    "haemoglobin": r"^HB[ABDGEMQZ]\d?$",
    "sex": r"^(XIST|TSIX|RPS4Y1|DDX3Y|EIF1AY|KDM5D|UTY|USP9Y|ZFY|NLGN4Y|TTTY\d+)$",
}


@dataclass(frozen=True)
class GeneTable:
    """Genes of GRCh38 in genome order; every array is (n_genes,)."""

    gene_ids: np.ndarray
    symbols: np.ndarray
    chromosomes: np.ndarray
    starts: np.ndarray
    arms: np.ndarray
    synonyms: np.ndarray


@lru_cache(maxsize=1)
def gene_table() -> GeneTable:
    """Return the shipped gene table, `resources/genes.tsv` (Ensembl 110)."""
    with open(RESOURCES / "genes.tsv", encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))

    def column(name: str) -> np.ndarray:
        return np.array([row[name] for row in rows], dtype=object)

    return GeneTable(
        gene_ids=column("gene_id"),
        symbols=column("symbol"),
        chromosomes=column("chromosome"),
        starts=column("start").astype(np.int64),
        arms=column("arm"),
        synonyms=column("synonyms"),
    )


def gene_classes(symbols: np.ndarray) -> dict[str, np.ndarray]:
    """Return one boolean mask a gene class, each shaped like `symbols`.

    Symbols are HGNC's (Ensembl IDs are translated by `relapsescope.matrix` on reading).
    """
    return {
        name: np.fromiter((bool(re.match(p, s)) for s in symbols), bool, len(symbols))
        for name, p in CLASS_PATTERNS.items()
    }
