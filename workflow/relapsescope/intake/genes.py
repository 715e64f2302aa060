"""Genes by Ensembl ID: the shipped table and the classes that the steps treat apart."""

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

POSSIBLE_STARTS = re.compile(
    "MT-|RP[LS]|IG[HKL]|TR[ABDG]|HB|XIST|TSIX|DDX3Y|EIF|KDM|UTY|USP|ZFY|NLG|TTTY"
)


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
    text = (RESOURCES / "genes.tsv").read_text(encoding="utf-8")
    names, *rows = (line.split("\t") for line in text.splitlines())
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))

    def column(name: str) -> np.ndarray:
        return np.array(columns[name], dtype=object)

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

    Symbols are HGNC's (Ensembl IDs are translated by `relapsescope.intake.matrix` on reading).
    """
    masks = {name: np.zeros(len(symbols), dtype=bool) for name in CLASS_PATTERNS}
    for name, positions in _class_positions(tuple(symbols)).items():
        masks[name][positions] = True
    return masks


@lru_cache(maxsize=2)
def _class_positions(symbols: tuple[str, ...]) -> dict[str, list[int]]:
    """Return where each gene class's genes are; several steps of a library ask for the same."""
    # Few of a genome's symbols can belong to any class; only those are looked at class by class.
    candidates = [i for i, symbol in enumerate(symbols) if POSSIBLE_STARTS.match(symbol)]
    positions = {}
    for name, pattern in CLASS_PATTERNS.items():
        matches = re.compile(pattern).match
        positions[name] = [i for i in candidates if matches(symbols[i])]
    return positions


@lru_cache(maxsize=1)
def mitochondrial_ids() -> frozenset[str]:
    """Return the Ensembl IDs of the mitochondrial genes."""
    return _ids_of(CLASS_PATTERNS["mitochondrial"])


@lru_cache(maxsize=1)
def olfactory_ids() -> frozenset[str]:
    """Return the Ensembl IDs of the olfactory receptors, which cells of blood do not transcribe."""
    return _ids_of(r"^OR\d+[A-Z]+\d+[A-Z]*$")


def _ids_of(pattern: str) -> frozenset[str]:
    table, matches = gene_table(), re.compile(pattern).match
    return frozenset(
        gene_id
        for gene_id, symbol in zip(table.gene_ids, table.symbols, strict=True)
        if matches(symbol)
    )
