"""Clonotypes of a patient's T cells: chains and grouping as scirpy's, orphan chains rejoined."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from relapsescope.intake.contigs import Chain, Receptors

PAIRED = ("single pair", "extra VJ", "extra VDJ")
ORPHAN = ("orphan VJ", "orphan VDJ")
BY_PAIR, BY_ORPHAN, ALONE = "both_chains", "one_chain", "unpaired"
FIRST, SECOND = ("TRA", "TRG"), ("TRB", "TRD")
"""Loci of the arms that rearrange V to J, and V to D to J."""
MOST_OF_AN_ARM = 2
SUBTYPES = {"TRA+TRB": {"TRA", "TRB"}, "TRG+TRD": {"TRG", "TRD"}}
AMBIGUOUS, MULTICHAIN = "ambiguous", "multichain"
PAIRINGS = {
    (1, 0): ORPHAN[0],
    (2, 0): ORPHAN[0],
    (0, 1): ORPHAN[1],
    (0, 2): ORPHAN[1],
    (1, 1): PAIRED[0],
    (2, 1): PAIRED[1],
    (1, 2): PAIRED[2],
    (2, 2): "two full chains",
}
"""By the number of a cell's chains of either arm."""


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
    pairing, subtype = np.array([pairing_of(own) for own in chains], dtype=object).T
    clonotype, joined_by = _rejoined(chains, pairing, _grouped(chains, pairing, subtype))
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


def pairing_of(chains: Sequence[Chain]) -> tuple[str, str]:
    """Return how a cell's chains pair, and of which kind its receptor is, in scirpy's words."""
    first = sum(chain.locus in FIRST for chain in chains)
    second = sum(chain.locus in SECOND for chain in chains)
    if max(first, second) > MOST_OF_AN_ARM:
        return MULTICHAIN, MULTICHAIN
    loci = {chain.locus for chain in chains}
    subtype = next((name for name, own in SUBTYPES.items() if loci <= own), AMBIGUOUS)
    return (PAIRINGS[first, second], subtype) if subtype in SUBTYPES else (AMBIGUOUS, AMBIGUOUS)


def _grouped(
    chains: Sequence[Sequence[Chain]], pairing: np.ndarray, subtype: np.ndarray
) -> np.ndarray:
    """Return (n_cells,) which cells belong together, None where a cell can belong to no other.

    Cells of one kind of receptor belong together when a chain of either arm is the same in both,
    and so on from cell to cell; an arm that was not captured is like no arm that was.
    """
    group = np.full(len(chains), None, dtype=object)
    above = list(range(len(chains)))

    def top(cell: int) -> int:
        while above[cell] != cell:
            above[cell] = above[above[cell]]
            cell = above[cell]
        return cell

    usable = np.flatnonzero(np.isin(pairing.astype(str), (*PAIRED, *ORPHAN)))
    first_with: dict[tuple[str, str | None, str | None], int] = {}
    for cell in usable:
        arms = (
            [chain.cdr3_nt for chain in chains[cell] if chain.locus in loci] or [None]
            for loci in (FIRST, SECOND)
        )
        for pair in itertools.product(*arms):
            above[top(cell)] = top(first_with.setdefault((subtype[cell], *pair), int(cell)))
    for cell in usable:
        group[cell] = top(cell)
    return group


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
