"""B cell receptor contigs, preferred over expression where given."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from relapsescope.clones.immunoglobulin import AMBIGUOUS, KAPPA, LAMBDA, Immunoglobulin
from relapsescope.errors import InputProblem
from relapsescope.intake.contigs import Chain, of_barcodes
from relapsescope.intake.contigs import read_contigs as read_receptors

CHAINS = {"IGK": KAPPA, "IGL": LAMBDA}


def library_contigs(
    path: str | None, barcodes: np.ndarray
) -> tuple[dict[str, dict[str, str]] | None, str]:
    """Return what contigs say of a library's plasma cells, and why they say nothing.

    Parameters
    ----------
    path
        The sheet's `bcr_contigs`; None: there are none, which needs no reason.
    barcodes
        (n_cells,) of the plasma cells; the contigs' may be written otherwise.
    """
    try:
        contigs = read_contigs(path)
    except InputProblem as problem:
        return None, f"BCR contigs not used: {'; '.join(problem.problems)}"
    if contigs is None:
        return None, ""
    if not contigs:
        return None, f"{Path(path).name} holds no productive BCR contig"
    own, _ = of_barcodes(contigs, barcodes)
    if len(barcodes) and not own:
        return None, (
            f"none of {len(barcodes)} plasma cells is among the {len(contigs)} barcodes of "
            f"{Path(path).name}; check that it is of the same library"
        )
    return own, ""


def read_contigs(path: str | None) -> dict[str, dict[str, str]] | None:
    """Return each barcode's light chain, V genes and heavy constant gene, None without a file.

    Raises
    ------
    InputProblem
        Where the file cannot be read, as `intake.contigs.read_contigs` says.
    """
    if not path:
        return None
    receptors = read_receptors(Path(path), "bcr_contigs")
    return {barcode: _summary(chains) for barcode, chains in receptors.items()}


def _summary(chains: Sequence[Chain]) -> dict[str, str]:
    """Return a cell's light chain, V genes and heavy constant gene, of each locus' largest chain.

    A cell with kappa and lambda contigs of more than a fifth of each other's UMIs is ambiguous.
    """
    best: dict[str, Chain] = {}
    for chain in chains:
        if chain.locus not in best or chain.umis > best[chain.locus].umis:
            best[chain.locus] = chain
    found: dict[str, str] = {}
    light = sorted((best[locus].umis, locus) for locus in CHAINS if locus in best)
    if light:
        umis, locus = light[-1]
        both = len(light) == 2 and light[0][0] > 0.2 * umis
        found["light_chain"] = AMBIGUOUS if both else CHAINS[locus]
        if not both:
            found["light_v"] = _gene(best[locus].v_gene)
    if "IGH" in best:
        found["heavy_v"] = _gene(best["IGH"].v_gene)
        found["heavy"] = _gene(best["IGH"].c_gene)
    return {key: value for key, value in found.items() if value}


def _gene(name: str) -> str:
    return re.sub(r"^(IGKV\d)D", r"\1", name.split("*")[0])


def apply_contigs(
    ig: Immunoglobulin, barcodes: np.ndarray, contigs: Mapping[str, Mapping[str, str]] | None
) -> Immunoglobulin:
    """Return the calls with those of contigs in their place, where the cell has any."""
    if not contigs or not any(barcode in contigs for barcode in barcodes):
        return ig
    columns = {
        name: getattr(ig, name).copy() for name in ("light_chain", "light_v", "heavy_v", "heavy")
    }
    for i, barcode in enumerate(barcodes):
        for name, value in contigs.get(barcode, {}).items():
            columns[name][i] = value
    return dataclasses.replace(ig, **columns, assessable=True)
