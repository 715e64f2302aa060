"""What genetics says of a patient's tumour: hits of an antigen's gene, and arms beside our own.

Rows are those of `clinical/genetics.tsv`, all fields text. A deletion and a truncating change of
the same gene are two hits; a change that leaves the protein's frame may leave RNA and surface
protein while the epitope is gone (Lee 2023, Nat Med; mutations of BCMA's extracellular domain with
surface BCMA still detectable).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from relapsescope.vocabulary import antigen_name

GENETIC_LOSS, EPITOPE_MUTATED = "genetic_loss", "epitope_mutated"
ONE_ALLELE, INTACT, UNKNOWN = "one_allele", "intact", ""
SEQUENCING = ("WGS", "WES", "panel")
CYTOGENETICS = ("FISH", "array", "WGS")
PROTEIN_CHANGE = re.compile(r"p\.\(?(?:=|[A-Z*][A-Za-z]{0,2}\d+[A-Za-z0-9_*=>?]*)\)?")
TRUNCATING = re.compile(r"\*|Ter|fs|^p\.\(?(?:M|Met)1\D")
SILENT = re.compile(r"=\)?$")
ARM = re.compile(r"(?:[1-9]|1\d|2[0-2]|X|Y)[pq]")
TRANSLOCATION = re.compile(r"t\((?:\d{1,2}|X|Y)[;:](?:\d{1,2}|X|Y)\)")
BOTH_ALLELES = re.compile(r"biallelic|homozygous|both alleles", re.IGNORECASE)

GeneticRow = Mapping[str, str]


@dataclass(frozen=True)
class TargetGenetics:
    """What genetics says of one antigen's gene.

    Attributes
    ----------
    state
        `genetic_loss`: both alleles are hit by deletion or truncation; `epitope_mutated`: a change
        that leaves the frame; `one_allele`: one hit only; `intact`: sequenced without one; "":
        nothing is known.
    rows
        The rows that the state rests on.
    """

    state: str
    rows: tuple[GeneticRow, ...] = ()


def target_genetics(
    rows: Iterable[GeneticRow], antigen: str, *, since: float | None = None
) -> TargetGenetics:
    """Return what a patient's rows say of an antigen's gene.

    Parameters
    ----------
    since
        Day from which a row tells of the relapse; earlier ones are left out, those without a day
        kept. None: all.
    """
    own = [row for row in rows if row["gene_or_arm"] == antigen and _is_since(row, since)]
    deletions = [row for row in own if row["event"] == "deletion"]
    changed = [row for row in own if row["event"] == "mutation" and not is_silent(row["hgvs_p"])]
    truncated = [row for row in changed if is_truncating(row["hgvs_p"])]
    in_frame = [row for row in changed if row not in truncated]
    hits = [*deletions, *truncated]
    distinct = {(row["event"], row["hgvs_p"]) for row in hits}
    if len(distinct) > 1 or any(BOTH_ALLELES.search(row["note"]) for row in hits):
        return TargetGenetics(GENETIC_LOSS, tuple(hits))
    if in_frame:
        return TargetGenetics(EPITOPE_MUTATED, (*in_frame, *hits))
    if hits:
        return TargetGenetics(ONE_ALLELE, tuple(hits))
    read = [row for row in own if row["event"] == "none" and row["assay"] in SEQUENCING]
    return TargetGenetics(INTACT, tuple(read)) if read else TargetGenetics(UNKNOWN)


def is_truncating(change: str) -> bool:
    """Return whether a protein change ends the protein early, or loses its start."""
    return bool(TRUNCATING.search(change))


def is_silent(change: str) -> bool:
    """Return whether a protein change changes nothing; one that is not named may change it."""
    return bool(change and SILENT.search(change))


def words_of(row: GeneticRow) -> str:
    """Return a row in words: ``mutation p.Arg27Pro of BCMA (TNFRSF17) by WGS``."""
    change = f" {row['hgvs_p']}" if row["hgvs_p"] else ""
    what = f"{row['event']}{change} of {antigen_name(row['gene_or_arm'])}"
    if row["event"] == "none":
        what = f"no change of {antigen_name(row['gene_or_arm'])}"
    if row["event"] == "translocation":
        what = f"translocation {row['gene_or_arm']}"
    return f"{what} by {row['assay']}"


@dataclass(frozen=True)
class Agreement:
    """Chromosome arms that cytogenetics and expression both judged."""

    agreeing: tuple[str, ...]
    conflicting: tuple[str, ...]


def arm_agreement(rows: Iterable[GeneticRow], events: Sequence[str]) -> Agreement:
    """Return where FISH, array or genome agree with a clone's arms by expression.

    Parameters
    ----------
    events
        The clone's events by expression, ``+1q``; an arm without one counts as unchanged.
    """
    ours = {event[1:]: event[0] for event in events if event}
    signs = {"gain": "+", "deletion": "-", "none": ""}
    agreeing, conflicting = {}, {}
    for row in rows:
        arm, sign = row["gene_or_arm"], signs.get(row["event"])
        if sign is None or not ARM.fullmatch(arm) or row["assay"] not in CYTOGENETICS:
            continue
        same = ours.get(arm, "") == sign
        words = f"{sign or 'unchanged '}{arm} by {row['assay']}"
        (agreeing if same else conflicting)[words] = None
    return Agreement(tuple(agreeing), tuple(conflicting))


def _is_since(row: GeneticRow, since: float | None) -> bool:
    return since is None or not row["day"] or float(row["day"]) >= since
