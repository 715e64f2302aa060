"""The panel of normal plasma cells: what it holds, and the one file that it travels in."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from relapsescope.clones.ig_clones import Usage
from relapsescope.tables import whole_file

FORMAT = "relapsescope normal plasma cells 1"
# Spread of a gene between people (natural log): what no correction for libraries takes away.
DONOR_SPREAD = 0.12
# One molecule a million: rarer genes do not tell how two panels differ.
LEAST_RATE = 1e-6


@dataclass(frozen=True)
class Panel:
    """Normal plasma cells by donor, and the other cells' rates that show a library's effects.

    Attributes
    ----------
    donors
        (n_donors,) names; `n_cells` beside them.
    counts, exposure
        (n_donors, n_genes): own UMIs (ambient taken off), and the UMIs that a rate of 1 would
        have given in that donor's libraries (depth × library effect).
    types, background
        (n_types,) and (n_types, n_genes) rates of the other cell types.
    usage
        Light chain and V gene usage of the panel's cells, by donor.
    """

    gene_ids: np.ndarray
    donors: np.ndarray
    n_cells: np.ndarray
    counts: np.ndarray
    exposure: np.ndarray
    types: np.ndarray
    background: np.ndarray
    usage: dict[str, dict[str, dict[str, int]]]

    def without(self, donor: str) -> "Panel":
        """Return the panel without one donor, so that no one is compared with themself."""
        kept = self.donors != donor
        return dataclasses.replace(
            self,
            donors=self.donors[kept],
            n_cells=self.n_cells[kept],
            counts=self.counts[kept],
            exposure=self.exposure[kept],
            usage={name: value for name, value in self.usage.items() if name != donor},
        )

    def with_donor(self, name: str, n_cells: int, counts: np.ndarray, exposure: np.ndarray):
        """Return the panel with the patient's own normal plasma cells as one more donor."""
        return dataclasses.replace(
            self,
            donors=np.append(self.donors, name),
            n_cells=np.append(self.n_cells, n_cells),
            counts=np.vstack([self.counts, counts]),
            exposure=np.vstack([self.exposure, exposure]),
        )

    def joined(self, other: "Panel") -> "Panel":
        """Return the donors of both panels over the genes that both have.

        Each panel's exposures are relative to its own other cells. Genes that these show more or
        less of in `other` are expected so in its plasma cells too.
        """
        known = set(other.gene_ids)
        shared = np.array([gene for gene in self.gene_ids if gene in known], dtype=object)
        one, two = self.on(shared), other.on(shared)
        if not (len(one.donors) and len(two.donors)):
            return one if len(one.donors) else two
        types = [kind for kind in one.types if kind in set(two.types)]
        mine = np.array([one.background[list(one.types).index(kind)] for kind in types])
        theirs = np.array([two.background[list(two.types).index(kind)] for kind in types])
        ratio = np.ones(len(shared))
        if types:
            ratio = (theirs.sum(axis=0) + LEAST_RATE) / (mine.sum(axis=0) + LEAST_RATE)
        return dataclasses.replace(
            one,
            donors=np.append(one.donors, two.donors),
            n_cells=np.append(one.n_cells, two.n_cells),
            counts=np.vstack([one.counts, two.counts]),
            exposure=np.vstack([one.exposure, two.exposure * ratio]),
            usage=one.usage | two.usage,
        )

    def on(self, gene_ids: np.ndarray) -> "Panel":
        """Return the panel over `gene_ids`, all of which it has."""
        place = {gene: i for i, gene in enumerate(self.gene_ids)}
        columns = np.array([place[gene] for gene in gene_ids], dtype=int)
        return dataclasses.replace(
            self,
            gene_ids=gene_ids,
            counts=self.counts[:, columns],
            exposure=self.exposure[:, columns],
            background=self.background[:, columns],
        )

    def rates(self) -> np.ndarray:
        """Return (n_genes,) rates of a normal plasma cell, summing to 1 over the genes."""
        rates = self.counts.sum(axis=0) / np.maximum(self.exposure.sum(axis=0), 1e-12)
        return rates / max(rates.sum(), 1e-300)

    def pooled_usage(self) -> Usage:
        """Return the usage of all donors together."""
        pooled: dict[str, dict[str, int]] = {}
        for donor in self.usage.values():
            for segment, values in donor.items():
                into = pooled.setdefault(segment, {})
                for symbol, n in values.items():
                    into[symbol] = into.get(symbol, 0) + n
        return Usage(pooled)


def write_panel(path: Path, panel: Panel) -> None:
    """Write the panel as one `.npz` without pickles; the file can travel in a bundle."""
    meta = {"format": FORMAT, "donors": list(panel.donors), "usage": panel.usage}
    arrays = {
        "meta": np.frombuffer(json.dumps(meta, sort_keys=True).encode(), dtype=np.uint8),
        "gene_ids": np.array(panel.gene_ids, dtype="S"),
        "types": np.array(panel.types, dtype="S"),
        "n_cells": panel.n_cells,
        "counts": panel.counts.astype(np.float32),
        "exposure": panel.exposure.astype(np.float32),
        "background": panel.background.astype(np.float32),
    }
    with whole_file(path) as partial, partial.open("wb") as handle:
        np.savez_compressed(handle, **arrays)


def read_panel(path: Path) -> Panel:
    """Return a panel as written by `write_panel`; ValueError for another file."""
    with np.load(path, allow_pickle=False) as arrays:
        meta = json.loads(arrays["meta"].tobytes())
        if meta.get("format") != FORMAT:
            raise ValueError(f"{path} is no panel of normal plasma cells ({FORMAT})")
        return Panel(
            gene_ids=arrays["gene_ids"].astype(str).astype(object),
            donors=np.array(meta["donors"], dtype=object),
            n_cells=arrays["n_cells"],
            counts=arrays["counts"].astype(float),
            exposure=arrays["exposure"].astype(float),
            types=arrays["types"].astype(str).astype(object),
            background=arrays["background"].astype(float),
            usage=meta["usage"],
        )
