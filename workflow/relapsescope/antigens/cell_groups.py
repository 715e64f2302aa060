"""The groups of cells whose rates are compared: clones, normal plasma cells, reference lineages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import special

from relapsescope.antigens.records import ALL_DEPTHS, Counted, Kind, Measure, Subset
from relapsescope.clones.files import PROBABILITY
from relapsescope.intake.counts import Counts

# The name of the one group of its kind.
ALL_MALIGNANT = "all_malignant"
REFERENCE_LINEAGES = ("T", "NK", "Monocyte", "B")
PLASMA_KINDS = (Kind.CLONE, Kind.ALL_MALIGNANT, Kind.NORMAL_PLASMA)
CYCLING_UMI = 2
NORMAL = "normal"
# Sure cells from which a clone's rates rest on them alone.
MIN_CORE = 10
# A cell that holds identity genes of another lineage beyond this chance is not `Subset.STRICT`.
FOREIGN_P = 0.05


@dataclass(frozen=True)
class Group:
    """Cells of one library that are counted together.

    Attributes
    ----------
    kind
        What the cells are.
    clone_id
        The clone; the lineage or cell type in groups of these kinds.
    members
        (n_barcodes,) bool.
    pooled
        Whether every gene is summed over the group, not only those of interest.
    others
        Of a clone that is not alone: by name of each other clone (`NORMAL` for normal plasma
        cells), (n_members,) probabilities that a member belongs there.
    subset
        Which cells of the group, or around it.
    """

    kind: Kind
    clone_id: str
    members: np.ndarray
    pooled: bool = False
    others: Mapping[str, np.ndarray] = field(default_factory=dict)
    subset: Subset = Subset.OWN

    @property
    def is_plasma(self) -> bool:
        """Whether these are the own cells of a group that is judged or a reference to it."""
        return self.subset == Subset.OWN and self.kind in PLASMA_KINDS

    def counted(
        self,
        sample_id: str,
        gene: str,
        *,
        measure: Measure = Measure.RNA,
        stratum: int = ALL_DEPTHS,
    ) -> Counted:
        """Return the key of what is counted of a gene in the group."""
        of_group = sample_id, self.kind, self.clone_id
        return Counted(*of_group, gene, self.subset, measure, stratum)


def cell_groups(
    cells: Mapping[str, np.ndarray],
    calls: Mapping[str, np.ndarray] | None,
    counts: Counts,
    *,
    profile: np.ndarray,
    contaminants: Mapping[str, Sequence[str]],
    cycle_genes: Sequence[str],
    core_probability: float,
) -> list[Group]:
    """Return the groups of one library that hold a cell.

    Doublets, cells of failed quality and cells with a contradicting lineage are in none.

    Parameters
    ----------
    cells
        The library's columns: `barcode`, `qc_pass`, `lineage`, `cell_type`, `contradiction`,
        `ambient_umi`.
    calls
        Clone calls (`barcode`, `malignancy`, `clone_id`, `probability_<clone>`); None: all plasma
        cells are normal.
    profile
        (n_genes,) the library's ambient profile.
    core_probability
        From which a cell is surely of its clone. A clone of fewer than `MIN_CORE` sure cells is
        taken whole.
    """
    usable = cells["qc_pass"].astype(bool) & (cells["contradiction"].astype(str) == "")
    malignancy, clone, posterior = _called(cells, calls)
    foreign = np.zeros(len(usable), dtype=bool)
    for genes in contaminants.values():
        foreign |= _unexplained(counts, genes, np.nan_to_num(cells["ambient_umi"]), profile)
    cycling = _molecules(counts, cycle_genes) >= CYCLING_UMI
    malignant = usable & (malignancy == "malignant")
    undetermined = usable & (malignancy == "undetermined")
    tumour = [(Kind.ALL_MALIGNANT, ALL_MALIGNANT, malignant, malignant)]
    for name in sorted(set(clone[malignant]) - {""}):
        whole = malignant & (clone == name)
        core = whole & (posterior[name] >= core_probability) if name in posterior else whole
        tumour.append((Kind.CLONE, name, core if core.sum() >= MIN_CORE else whole, whole))
    groups = [Group(Kind.NORMAL_PLASMA, "", usable & (malignancy == "normal"), pooled=True)]
    in_clone = np.any([members for _, _, members, _ in tumour[1:]], axis=0)
    groups.append(Group(Kind.UNSURE, ALL_MALIGNANT, malignant & ~in_clone))
    for kind, name, members, whole in tumour:
        others = _others(name, posterior, members) if kind == Kind.CLONE else {}
        groups.append(Group(kind, name, members, pooled=True, others=others))
        subsets = {
            Subset.ASSIGNED: whole,
            Subset.WIDE: whole | undetermined,
            Subset.STRICT: members & ~foreign,
            Subset.CYCLING: members & cycling,
            Subset.RESTING: members & ~cycling,
        }
        groups += [Group(kind, name, part, subset=subset) for subset, part in subsets.items()]
    lineage, cell_type = cells["lineage"].astype(str), cells["cell_type"].astype(str)
    groups += [
        Group(Kind.LINEAGE, name, usable & (lineage == name) & ~malignant, pooled=True)
        for name in REFERENCE_LINEAGES
    ]
    usable &= ~malignant
    others = sorted(set(cell_type[usable & (lineage != "Plasma") & (lineage != "Unknown")]))
    groups += [Group(Kind.CELL_TYPE, name, usable & (cell_type == name)) for name in others]
    return [group for group in groups if group.members.any()]


def _others(
    name: str, posterior: Mapping[str, np.ndarray], members: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the probabilities that members belong to each other clone or are normal."""
    if name not in posterior:
        return {}
    others = {other: share[members] for other, share in posterior.items() if other != name}
    normal = 1 - np.sum([share[members] for share in posterior.values()], axis=0)
    return others | {NORMAL: np.clip(normal, 0.0, 1.0)}


def _called(
    cells: Mapping[str, np.ndarray], calls: Mapping[str, np.ndarray] | None
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return malignancy and clone of each barcode ("" where there is none), and the posteriors."""
    n = len(cells["barcode"])
    if calls is None:
        plasma = cells["lineage"].astype(str) == "Plasma"
        return np.where(plasma, "normal", ""), np.full(n, ""), {}
    row = {barcode: i for i, barcode in enumerate(calls["barcode"])}
    index = np.array([row.get(barcode, -1) for barcode in cells["barcode"]], dtype=np.int64)

    def column(name: str) -> np.ndarray:
        values = np.array(["" if v is None else str(v) for v in [*calls[name], None]])
        return values[index]

    posterior = {
        name.removeprefix(PROBABILITY): np.nan_to_num(np.append(values.astype(float), 0.0))[index]
        for name, values in calls.items()
        if name.startswith(PROBABILITY)
    }
    return column("malignancy"), column("clone_id"), posterior


def _molecules(counts: Counts, symbols: Sequence[str]) -> np.ndarray:
    """Return the UMIs of the genes together in each barcode."""
    return counts.matrix @ np.isin(counts.symbols.astype(str), list(symbols)).astype(float)


def _unexplained(
    counts: Counts, symbols: Sequence[str], ambient_umi: np.ndarray, profile: np.ndarray
) -> np.ndarray:
    """Return which barcodes hold more of the genes than ambient RNA explains."""
    share = profile[np.isin(counts.symbols.astype(str), list(symbols))].sum()
    umi = _molecules(counts, symbols)
    # P(at least umi | ambient), Poisson.
    chance = np.where(umi > 0, special.gammainc(np.maximum(umi, 1), ambient_umi * share), 1.0)
    return chance <= FOREIGN_P
