"""Clonotypes of a patient's T cells: chains and grouping by scirpy, orphan chains rejoined."""

import contextlib
import os
import tempfile
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from relapsescope.intake.contigs import Chain, Receptors

PAIRED = ("single pair", "extra VJ", "extra VDJ")
ORPHAN = ("orphan VJ", "orphan VDJ")
BY_PAIR, BY_ORPHAN, ALONE = "both_chains", "one_chain", "unpaired"
FIRST, SECOND = ("TRA", "TRG"), ("TRB", "TRD")


@dataclass(frozen=True)
class ReceptorCells:
    """Every cell with a receptor, one entry each.

    Attributes
    ----------
    sample_id, barcode
        (n_cells,) str objects.
    pairing
        (n_cells,) scirpy's `chain_pairing`: ``single pair``, ``extra VJ``, ``orphan VDJ``, …
    subtype
        (n_cells,) ``TRA+TRB`` or ``TRG+TRD``; ``ambiguous`` or ``multichain`` where the chains
        cannot be one cell's.
    clonotype
        (n_cells,) name within the patient, None for cells of more chains than one cell has.
    joined_by
        (n_cells,) ``both_chains``; ``one_chain`` where an orphan chain was seen in one paired
        clonotype only and the cell counts to it; ``unpaired`` where it was in none or several;
        None as for `clonotype`.
    chains
        The cells' chains.
    """

    sample_id: np.ndarray
    barcode: np.ndarray
    pairing: np.ndarray
    subtype: np.ndarray
    clonotype: np.ndarray
    joined_by: np.ndarray
    chains: tuple[tuple[Chain, ...], ...]


def call_receptors(libraries: Mapping[str, Receptors]) -> ReceptorCells:
    """Return the clonotypes of a patient's cells, over all of its libraries.

    Cells are of one clonotype when they share the CDR3 nucleotide sequences of both chains;
    where a cell has two chains of a kind, either may match (scirpy's `define_clonotypes` with
    ``receptor_arms="all", dual_ir="any"``; Sturm et al. 2020, doi:10.1093/bioinformatics/btaa611).
    Cells with two full receptors or more are taken for doublets and have no clonotype.

    scirpy keeps cells of which one chain was not captured apart from their clone. Here such a
    cell counts to the paired clonotype of the patient that has its chain, provided that there is
    exactly one: alpha chains in particular recur in unrelated clones, and a chain of two clones
    says nothing about which.

    Parameters
    ----------
    libraries
        By sample, the chains of each barcode.
    """
    cells = [
        (s, barcode, chains) for s, own in libraries.items() for barcode, chains in own.items()
    ]
    if not cells:
        nothing = [np.array([], dtype=object) for _ in range(6)]
        return ReceptorCells(*nothing, chains=())
    chains = tuple(tuple(sorted(own_receptor(found), key=_order)) for _, _, found in cells)
    pairing, subtype, group = _by_scirpy(chains)
    clonotype, joined_by = _rejoined(chains, pairing, group)
    return ReceptorCells(
        sample_id=np.array([cell[0] for cell in cells], dtype=object),
        barcode=np.array([cell[1] for cell in cells], dtype=object),
        pairing=pairing,
        subtype=subtype,
        clonotype=_named(clonotype, chains),
        joined_by=joined_by,
        chains=chains,
    )


def own_receptor(chains: Sequence[Chain]) -> Sequence[Chain]:
    """Return a cell's chains without those left over from before it chose its receptor.

    Gamma is rearranged before alpha and beta, and stays in most alpha-beta cells; some
    gamma-delta cells have a beta chain. A chain whose partner is missing beside a chain or pair
    of the other kind is such a leftover; two whole receptors are left as they are, for doublets.
    """
    loci = {chain.locus for chain in chains}
    if loci & {"TRA", "TRB"} and "TRG" in loci and "TRD" not in loci:
        return [chain for chain in chains if chain.locus != "TRG"]
    if {"TRG", "TRD"} <= loci and "TRB" in loci and "TRA" not in loci:
        return [chain for chain in chains if chain.locus != "TRB"]
    return chains


def _order(chain: Chain) -> tuple[int, int, str]:
    """Return the key by which a cell's chains are ranked: most molecules first."""
    return (-chain.umis, -chain.reads, chain.cdr3_nt)


def _by_scirpy(chains: Sequence[Sequence[Chain]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scirpy's chain pairing, receptor subtype and clonotype of each cell."""
    with _quiet_scirpy() as scirpy:
        import awkward
        import pandas as pd
        from anndata import AnnData

        records = [[_airr(chain) for chain in own] for own in chains]
        names = pd.Index([str(i) for i in range(len(chains))])
        cells = AnnData(obs=pd.DataFrame(index=names), obsm={"airr": awkward.Array(records)})
        scirpy.pp.index_chains(cells, filter=("productive",))
        scirpy.tl.chain_qc(cells)
        pairing = cells.obs["chain_pairing"].to_numpy(dtype=object)
        subtype = cells.obs["receptor_subtype"].to_numpy(dtype=object)
        group = np.full(len(chains), None, dtype=object)
        usable = np.isin(pairing.astype(str), (*PAIRED, *ORPHAN))
        if usable.any():
            some = cells[usable].copy()
            scirpy.pp.ir_dist(some, metric="identity", sequence="nt", n_jobs=1)
            scirpy.tl.define_clonotypes(
                some,
                receptor_arms=_arms([own for own, use in zip(chains, usable, strict=True) if use]),
                dual_ir="any",
                within_group="receptor_subtype",
                n_jobs=1,
            )
            group[usable] = some.obs["clone_id"].to_numpy(dtype=object)
    return pairing, subtype, group


def _arms(chains: Sequence[Sequence[Chain]]) -> str:
    """Return which arms scirpy compares: it fails where no cell at all has a chain of one."""
    loci = {chain.locus for own in chains for chain in own}
    first, second = loci.intersection(FIRST), loci.intersection(SECOND)
    return "all" if first and second else "VJ" if first else "VDJ"


@contextlib.contextmanager
def _quiet_scirpy() -> Iterator[Any]:
    """Yield scirpy, imported without a trace: matplotlib, which it imports, would write a cache.

    Silenced: anndata says at each use that its awkward arrays may change, and scirpy is built on
    them; what scirpy's own dependencies deprecate is not ours to change.
    """
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        for category in (DeprecationWarning, FutureWarning):
            warnings.filterwarnings("ignore", category=category)
        warnings.filterwarnings("ignore", message="Support for Awkward Arrays")
        before = os.environ.get("MPLCONFIGDIR")
        os.environ["MPLCONFIGDIR"] = before or folder
        try:
            import scirpy
        finally:
            if before is None:
                del os.environ["MPLCONFIGDIR"]
        yield scirpy


def _airr(chain: Chain) -> dict[str, Any]:
    """Return a chain in the fields of the AIRR standard that scirpy reads."""
    return {
        "locus": chain.locus,
        "junction": chain.cdr3_nt,
        "junction_aa": chain.cdr3,
        "umi_count": chain.umis,
        "consensus_count": chain.reads,
        "productive": True,
    }


def _rejoined(
    chains: Sequence[Sequence[Chain]], pairing: np.ndarray, group: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the clonotypes with unambiguous orphans counted to their clone, and how each came."""
    paired = np.isin(pairing.astype(str), PAIRED)
    holders: dict[tuple[str, str], set[str]] = defaultdict(set)
    for i in np.flatnonzero(paired):
        for chain in chains[i]:
            holders[chain.locus, chain.cdr3_nt].add(group[i])
    clonotype, joined_by = group.copy(), np.full(len(group), None, dtype=object)
    joined_by[paired] = BY_PAIR
    for i in np.flatnonzero(~paired & np.array([g is not None for g in group], dtype=bool)):
        found = [holders.get((chain.locus, chain.cdr3_nt), set()) for chain in chains[i]]
        candidates = set().union(*found)
        joined_by[i] = ALONE
        if len(candidates) == 1:
            clonotype[i], joined_by[i] = candidates.pop(), BY_ORPHAN
    return clonotype, joined_by


def _named(clonotype: np.ndarray, chains: Sequence[Sequence[Chain]]) -> np.ndarray:
    """Return the clonotypes as T1, T2, …: largest first, ties by sequence, whatever scirpy's."""
    size = Counter(name for name in clonotype if name is not None)
    least: dict[Any, tuple[str, ...]] = {}
    for name, own in zip(clonotype, chains, strict=True):
        if name is not None:
            key = tuple(sorted(chain.locus + chain.cdr3_nt for chain in own))
            least[name] = min(least.get(name, key), key)
    ranked = sorted(size, key=lambda name: (-size[name], least[name]))
    names = {name: f"T{rank}" for rank, name in enumerate(ranked, start=1)}
    return np.array([names.get(name) for name in clonotype], dtype=object)


def primary(chains: Sequence[Chain], loci: Sequence[str]) -> Chain | None:
    """Return a cell's chain of most molecules among these loci."""
    return next((chain for chain in chains if chain.locus in loci), None)
