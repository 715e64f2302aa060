"""How much memory and time a job may need: models fitted to the benchmarks of finished jobs."""

import csv
import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

from relapsescope.paths import RESOURCES

MODELS = RESOURCES / "resource_models.tsv"
# Python and Snakemake in a job of a cluster, which the scheduler counts and a benchmark does not:
# two processes of 185 MB (docs/cluster.md).
SNAKEMAKE_MB = 370
# No request is smaller: a job's start alone can pass what a tiny library's model says.
LEAST_MB = 750
MEMORY_MARGIN = 1.25
# A cluster's nodes may be slower than the machine of the benchmarks, and busy.
TIME_MARGIN = 2.0
# What starting a job takes on a slow file system: once for a batch, beside a little for each of
# its jobs, whose times add up.
START_MINUTES = 5.0
MEMBER_MINUTES = 0.5
WITH_TCR = "+tcr"
BATCHED = ("libraries", "patients")
"""Groups of which a scheduler job holds many jobs."""


@dataclass(frozen=True)
class Size:
    """How much data a job reads.

    Attributes
    ----------
    n_barcodes
        Barcodes of the filtered matrices.
    n_values, n_raw_values
        Stored counts of the filtered and of the unfiltered matrices.
    n_tcr_bytes
        Length of the TCR contig files.
    n_libraries
        Libraries.
    """

    n_barcodes: int = 0
    n_values: int = 0
    n_raw_values: int = 0
    n_tcr_bytes: int = 0
    n_libraries: int = 0

    def amount(self, unit: str) -> float:
        """Return this size in a model's unit."""
        return {
            "thousand_barcodes": self.n_barcodes / 1e3,
            "million_values": self.n_values / 1e6,
            "million_values_with_raw": (self.n_values + self.n_raw_values) / 1e6,
            "million_tcr_bytes": self.n_tcr_bytes / 1e6,
        }[unit]


@dataclass(frozen=True)
class ResourceModel:
    """Straight lines under which 95 % of a rule's benchmarked jobs lie, one row of the table.

    Attributes
    ----------
    rule
        The rule; with `+tcr` its jobs that read TCR contigs, which its other row leaves out.
    group
        With which jobs it runs in one scheduler job; empty: alone; `local`: in Snakemake's process.
    unit
        What memory and time grow with: see `Size.amount`.
    mb_base, mb_per_unit, mb_per_library
        Resident memory (MB) of the job's own process.
    s_base, s_per_unit, s_per_library
        Wall-clock seconds.
    n_jobs, largest, most_libraries
        How many jobs it was fitted to, and the largest of them in units and in libraries: beyond,
        it is a guess.
    """

    rule: str
    group: str
    unit: str
    mb_base: float
    mb_per_unit: float
    mb_per_library: float
    s_base: float
    s_per_unit: float
    s_per_library: float
    n_jobs: int
    largest: float
    most_libraries: int

    def memory(self, size: Size) -> float:
        """Return the MB that a job on `size` uses."""
        grown = self.mb_per_unit * size.amount(self.unit)
        return self.mb_base + grown + self.mb_per_library * size.n_libraries

    def seconds(self, size: Size) -> float:
        """Return the seconds that a job on `size` takes."""
        grown = self.s_per_unit * size.amount(self.unit)
        return self.s_base + grown + self.s_per_library * size.n_libraries


@dataclass(frozen=True)
class Request:
    """What a job asks its scheduler for: memory in MB and run time in minutes."""

    mem_mb: int
    runtime: int


COLUMNS = tuple(field.name for field in fields(ResourceModel))


@functools.cache
def read_models(path: Path = MODELS) -> dict[str, ResourceModel]:
    """Return the models by rule."""
    with open(path, encoding="utf-8", newline="") as lines:
        rows = csv.DictReader((line for line in lines if line[0] != "#"), delimiter="\t")
        return {
            row["rule"]: ResourceModel(
                **{field.name: field.type(row[field.name]) for field in fields(ResourceModel)}
            )
            for row in rows
        }


def groups_of_rules() -> dict[str, str]:
    """Return with which jobs each rule runs, as `ResourceModel.group` has it."""
    return {name.removesuffix(WITH_TCR): model.group for name, model in read_models().items()}


def model_of(rule: str, size: Size) -> ResourceModel:
    """Return the model of a rule's job on `size`."""
    models = read_models()
    with_tcr = models.get(f"{rule}{WITH_TCR}") if size.n_tcr_bytes else None
    return with_tcr or models[rule]


def total_size(sizes: Iterable[Size]) -> Size:
    """Return the size of a job that reads several libraries."""
    sizes = list(sizes)
    return Size(*(sum(getattr(size, field.name) for size in sizes) for field in fields(Size)))


def request(rule: str, size: Size, attempt: int = 1) -> Request:
    """Return what a rule's job asks for: more at each attempt, never less than `LEAST_MB`."""
    model = model_of(rule, size)
    memory = max(LEAST_MB, SNAKEMAKE_MB + MEMORY_MARGIN * model.memory(size))
    start = MEMBER_MINUTES if model.group in BATCHED else START_MINUTES
    minutes = start + TIME_MARGIN * model.seconds(size) / 60
    return Request(mem_mb=math.ceil(memory) * attempt, runtime=math.ceil(minutes) * attempt)


def batch_request(attempt: int = 1) -> Request:
    """Return what the record of a batch asks for: the start of the whole batch."""
    return Request(mem_mb=LEAST_MB * attempt, runtime=math.ceil(START_MINUTES) * attempt)


def batches(names: Iterable[str], n_each: int) -> dict[str, list[str]]:
    """Return `names` in runs of `n_each`, by the number of the run: ``01``, ``02``, …"""
    names, n_each = list(names), max(n_each, 1)
    runs = [names[start : start + n_each] for start in range(0, len(names), n_each)]
    width = len(str(len(runs)))
    return {f"{number:0{width}d}": run for number, run in enumerate(runs, 1)}
