"""The suppressive programmes of `resources/suppression.tsv`: which genes, in which cells."""

from dataclasses import dataclass
from functools import lru_cache

from relapsescope.paths import RESOURCES

MYELOID, CD4_T = "myeloid", "cd4_t"
POPULATIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    MYELOID: ("lineage", ("Monocyte", "Macrophage")),
    CD4_T: ("cell_type", ("CD4 T", "Treg")),
}
"""Column and values of the cells in which a population's programmes are counted.

Monocytes and macrophages are taken together: a suppressive monocyte takes on genes by which
macrophages are called, so that a border between the two would hide or feign a change.
"""


@dataclass(frozen=True)
class Programme:
    """A set of genes counted in one population.

    Attributes
    ----------
    name
        As in the tables' column `measure`.
    population
        A key of `POPULATIONS`.
    symbols
        HGNC symbols.
    marking
        Those that resting cells of the population hardly show: a molecule marks a cell.
    """

    name: str
    population: str
    symbols: tuple[str, ...]
    marking: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def programmes() -> tuple[Programme, ...]:
    """Return the programmes in the table's order."""
    lines = (RESOURCES / "suppression.tsv").read_text(encoding="utf-8").splitlines()
    names = lines[0].split("\t")
    rows = [dict(zip(names, line.split("\t"), strict=True)) for line in lines[1:]]
    found = []
    for name in dict.fromkeys(row["programme"] for row in rows):
        own = [row for row in rows if row["programme"] == name]
        (population,) = {row["population"] for row in own}
        found.append(
            Programme(
                name=name,
                population=population,
                symbols=tuple(row["symbol"] for row in own),
                marking=tuple(row["symbol"] for row in own if row["marks_cell"] == "yes"),
            )
        )
    return tuple(found)


def marking_genes() -> tuple[str, ...]:
    """Return the genes of which one molecule marks a suppressive myeloid cell."""
    return tuple(dict.fromkeys(g for one in programmes() for g in one.marking))
