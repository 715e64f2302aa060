"""The genes that all libraries of a cohort share."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from relapsescope.errors import InputProblem
from relapsescope.intake.genes import gene_table

# With fewer genes in common than this, the libraries cannot be compared.
FEWEST_GENES = 1_000
# A library that alone costs the cohort more than this share of its genes is named.
COSTLY_SHARE = 0.05


def shared_genes(
    gene_ids: Sequence[np.ndarray],
    *,
    names: Sequence[str] | None = None,
    fewest: int = FEWEST_GENES,
) -> np.ndarray:
    """Return the Ensembl IDs that every library holds, in genome order.

    The rules:

    1. A gene is in the space when every library's reference holds it. Never an outer join:
       a gene that a reference lacks is unknown in that library, not zero.
    2. References, not counts, decide: a gene without a single UMI stays.
    3. Genes are the same when their Ensembl IDs without version are the same.
    4. The order is that of the shipped gene table, then, for IDs it does not know, that of the
       IDs: it depends neither on the order nor on the number of the libraries.
    5. Libraries with the verdict `fail` have no say; the caller leaves them out.

    Parameters
    ----------
    gene_ids
        (n_genes,) Ensembl IDs, unique, one array a library.
    names
        The libraries' names, for messages.
    fewest
        Fewer shared genes than this are a problem.

    Raises
    ------
    InputProblem
        Where fewer than `fewest` genes are shared (or all of the smallest library's, if it has
        fewer itself), naming the libraries that cost most.
    """
    if not gene_ids:
        return np.array([], dtype=object)
    common = set(gene_ids[0].tolist())
    # Libraries of one annotation may share its array.
    for ids in {id(ids): ids for ids in gene_ids[1:]}.values():
        common.intersection_update(ids.tolist())
    if len(common) < min(fewest, *(len(ids) for ids in gene_ids)):
        cost = "; ".join(costly_libraries(gene_ids, names=names)[:3])
        raise InputProblem(
            f"the {len(gene_ids)} libraries share only {len(common)} genes"
            f"{': ' + cost if cost else ''}; align them to one reference, or leave out the "
            "libraries with another gene annotation"
        )
    place = {gene_id: i for i, gene_id in enumerate(gene_table().gene_ids)}
    ordered = sorted(common, key=lambda gene_id: (place.get(gene_id, len(place)), gene_id))
    return np.array(ordered, dtype=object)


def costly_libraries(
    gene_ids: Sequence[np.ndarray],
    *,
    names: Sequence[str] | None = None,
    share: float = COSTLY_SHARE,
) -> list[str]:
    """Return a sentence for each library that alone keeps many genes out of the shared space.

    Parameters
    ----------
    gene_ids, names
        As in `shared_genes`.
    share
        Name a library when the genes that it alone lacks are more than this share of what would
        be shared without it.
    """
    if len(gene_ids) < 2:
        return []
    held = Counter(gene_id for ids in gene_ids for gene_id in ids.tolist())
    n_all = sum(times == len(gene_ids) for times in held.values())
    lacking_one = {gene_id for gene_id, times in held.items() if times == len(gene_ids) - 1}
    labels = names if names is not None else [f"library {i + 1}" for i in range(len(gene_ids))]
    costs = [
        (len(lacking_one.difference(ids.tolist())), label)
        for ids, label in zip(gene_ids, labels, strict=True)
    ]
    return [
        f"{label} alone lacks {cost} genes that all others hold"
        for cost, label in sorted(costs, key=lambda pair: (-pair[0], pair[1]))
        if cost > share * (n_all + cost)
    ]
