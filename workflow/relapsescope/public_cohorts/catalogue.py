"""The table of public cohorts: one row a file, each with what is known of it and how surely."""

import csv
from dataclasses import dataclass
from pathlib import Path

from relapsescope.errors import InputProblem
from relapsescope.intake.text_tables import nearest
from relapsescope.paths import RESOURCES

TABLE = RESOURCES / "public_cohorts.tsv"
FIRST_USE = "first use"


@dataclass(frozen=True)
class PublicFile:
    """One file of a public cohort.

    Attributes
    ----------
    urls
        Where it lies, mirrors after the first.
    n_bytes
        Its size, None where it is not known.
    sha256
        Its checksum, "" where the first use is to record it.
    verified
        Whether name, place and content were seen; else they follow from the archive's pattern.
    """

    accession: str
    paper: str
    file: str
    urls: tuple[str, ...]
    n_bytes: int | None
    sha256: str
    licence: str
    verified: bool
    known: str


def read_catalogue(path: Path = TABLE) -> list[PublicFile]:
    """Return the files of `resources/public_cohorts.tsv`."""
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    return [
        PublicFile(
            accession=row["accession"],
            paper=row["paper"],
            file=row["file"],
            urls=tuple(row["url"].split(";")),
            n_bytes=int(row["bytes"]) if row["bytes"] else None,
            sha256="" if row["sha256"] == FIRST_USE else row["sha256"],
            licence=row["licence"],
            verified=row["verified"] == "verified",
            known=row["known"],
        )
        for row in rows
    ]


def files_of(accession: str, catalogue: list[PublicFile]) -> list[PublicFile]:
    """Return the files of one cohort.

    Raises
    ------
    InputProblem
        Where there is no such cohort.
    """
    found = [one for one in catalogue if one.accession.lower() == accession.lower()]
    if not found:
        names = sorted({one.accession for one in catalogue})
        meant = nearest(accession, names)
        remedy = f"did you mean {meant}?" if meant else f"known: {', '.join(names)}"
        raise InputProblem(f"{accession!r} is not among the public cohorts; {remedy}")
    return found


def listing(catalogue: list[PublicFile]) -> str:
    """Return the cohorts as text, one line a file: size, whether it was verified, what it is."""
    lines = []
    for one in catalogue:
        size = "size unknown" if one.n_bytes is None else f"{one.n_bytes / 1e6:,.1f} MB"
        state = "verified" if one.verified else "unverified"
        lines.append(f"{one.accession}\t{one.file}\t{size}\t{state}\t{one.paper}\t{one.known}")
    return "\n".join(lines)
