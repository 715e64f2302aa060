"""Gene sets that enrichment asks about: the shipped ones, and a user's GMT files."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from relapsescope.errors import InputProblem
from relapsescope.intake.genes import gene_table
from relapsescope.intake.limits import read_unpacked
from relapsescope.intake.regular_files import why_not_a_file
from relapsescope.paths import RESOURCES
from relapsescope.programmes.files import SHIPPED

SHIPPED_TABLE = RESOURCES / "gene_sets.tsv"


@dataclass(frozen=True)
class NamedSet:
    """A gene set: its symbols as HGNC has them now, and where it is from."""

    name: str
    symbols: tuple[str, ...]
    source: str


def gene_set_problems(names: Sequence[str]) -> list[str]:
    """Return what is wrong with `programmes.gene_sets`, one line each."""
    problems = []
    seen: dict[str, str] = {}
    for name in dict.fromkeys(names):
        if name == SHIPPED:
            found = read_shipped()
        elif not Path(name).is_file():
            problems.append(
                f"config programmes.gene_sets: no file {name}; write `{SHIPPED}` or the path of "
                "a GMT file, relative to the working directory"
            )
            continue
        else:
            found, wrong = parse_gmt(Path(name))
            problems += wrong
        for gene_set in found:
            if gene_set.name in seen:
                problems.append(
                    f"config programmes.gene_sets: the set {gene_set.name} is in "
                    f"{seen[gene_set.name]} and in {name}; rename one of them"
                )
            seen.setdefault(gene_set.name, name)
    return problems


def read_gene_sets(names: Sequence[str]) -> list[NamedSet]:
    """Return the sets that the configuration names, in its order.

    Raises
    ------
    InputProblem
        With one line for each thing that is wrong.
    """
    problems = gene_set_problems(names)
    if problems:
        raise InputProblem(*problems)
    sets: list[NamedSet] = []
    for name in dict.fromkeys(names):
        sets += read_shipped() if name == SHIPPED else parse_gmt(Path(name))[0]
    return sets


def read_shipped() -> list[NamedSet]:
    """Return the sets of `resources/gene_sets.tsv`."""
    lines = SHIPPED_TABLE.read_text(encoding="utf-8").splitlines()
    names = lines[0].split("\t")
    rows = [dict(zip(names, line.split("\t"), strict=True)) for line in lines[1:]]
    return [NamedSet(row["gene_set"], tuple(row["symbols"].split()), row["source"]) for row in rows]


def parse_gmt(path: Path) -> tuple[list[NamedSet], list[str]]:
    """Return a GMT file's sets and its problems, one line each.

    A line holds a name, a description and genes, separated by tabs (Broad Institute's format).
    Former symbols and Ensembl IDs are translated to HGNC's.
    """
    if fault := why_not_a_file(path):
        return [], [f"{path.name}: {'; '.join(fault)}"]
    try:
        text = read_unpacked(path).decode("utf-8-sig")
    except (InputProblem, UnicodeDecodeError, OSError, EOFError, zlib.error):
        return [], [f"{path.name}: is not a text file in UTF-8; give a GMT file"]
    sets, problems, lines_of = [], [], {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        fields = [field.strip() for field in line.split("\t")]
        place = f"{path.name}:{number}"
        if len(fields) < 3:
            problems.append(
                f"{place}: {len(fields)} field(s) between tabs; a line is name, description, genes"
            )
            continue
        name, about, *genes = fields
        symbols = tuple(dict.fromkeys(_hgnc(gene) for gene in genes if gene))
        if not name:
            problems.append(f"{place}: the set has no name; write one in the first field")
        elif name in lines_of:
            problems.append(
                f"{place}: the set {name} is on line {lines_of[name]} too; rename one of them"
            )
        elif not any(symbol in _symbols() for symbol in symbols):
            problems.append(
                f"{place}: none of the genes of {name} is a human gene symbol or Ensembl ID; "
                "translate mouse symbols and other identifiers"
            )
        else:
            sets.append(NamedSet(name, symbols, about or path.name))
        lines_of.setdefault(name, number)
    if not sets and not problems:
        problems.append(f"{path.name}: holds no gene set; a line is name, description, genes")
    return sets, problems


@lru_cache(maxsize=1)
def _symbols() -> frozenset[str]:
    return frozenset(gene_table().symbols.tolist())


@lru_cache(maxsize=1)
def _translations() -> dict[str, str]:
    table = gene_table()
    former = {}
    for symbol, synonyms in zip(table.symbols, table.synonyms, strict=True):
        for synonym in filter(None, synonyms.split(";")):
            former.setdefault(synonym.strip(), symbol)
    return former | dict(zip(table.gene_ids.tolist(), table.symbols.tolist(), strict=True))


def _hgnc(gene: str) -> str:
    """Return the current symbol; a word that stands for no gene as it is."""
    if gene in _symbols():
        return gene
    return _translations().get(gene.split(".")[0] if gene.startswith("ENSG") else gene, gene)
