"""The ligand–receptor pairs that are asked for, and the resource among whose pairs they rank."""

import csv
import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from relapsescope.errors import InputProblem
from relapsescope.microenvironment.interaction_scores import Pair
from relapsescope.paths import RESOURCES

RESOURCE = ("liana", "resource/omni_resource.csv", "consensus")


@dataclass(frozen=True)
class AskedPair:
    """A pair of `resources/interactions.tsv`.

    Attributes
    ----------
    axis
        What it belongs to, e.g. `ANXA1_FPR`.
    ligand, receptor
        Symbols; subunits of a complex joined by `+`.
    senders, receivers
        Lineages between which it is asked for.
    """

    axis: str
    ligand: str
    receptor: str
    senders: tuple[str, ...]
    receivers: tuple[str, ...]

    @property
    def subunits(self) -> Pair:
        """Subunits of ligand and receptor."""
        return tuple(self.ligand.split("+")), tuple(self.receptor.split("+"))


@lru_cache(maxsize=1)
def asked_pairs() -> tuple[AskedPair, ...]:
    """Return the pairs of the table in its order."""
    with (RESOURCES / "interactions.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return tuple(
        AskedPair(
            row["axis"],
            row["ligand"],
            row["receptor"],
            tuple(row["senders"].split(";")),
            tuple(row["receivers"].split(";")),
        )
        for row in rows
    )


@lru_cache(maxsize=1)
def ranked_pairs() -> tuple[Pair, ...]:
    """Return the pairs among which ranks are taken: LIANA's consensus resource and ours.

    The resource is read from the installed liana package, a file of OmniPath's pairs; the package
    itself, which imports scanpy, is not imported and nothing is downloaded.

    Raises
    ------
    InputProblem
        Where the package or its file is not there.
    """
    package, name, resource = RESOURCE
    found = importlib.util.find_spec(package)
    path = Path(found.submodule_search_locations[0]) / name if found else None
    if path is None or not path.is_file():
        raise InputProblem(
            f"ligand-receptor resource: {package}/{name} is not installed; install envs/lock.txt"
        )
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["resource"] == resource]
    known = [
        (tuple(row["source_genesymbol"].split("_")), tuple(row["target_genesymbol"].split("_")))
        for row in rows
    ]
    return tuple(dict.fromkeys([*known, *(pair.subunits for pair in asked_pairs())]))
