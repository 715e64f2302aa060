"""One patient's pseudobulks: every gene's molecules in the relapse clone and in the tumour before.

The patient's job (`tallies.pooled_columns`) summed them; here libraries are put together, genes
that no comparison can use are named with the reason, and foreign RNA is measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from relapsescope.intake.genes import gene_classes
from relapsescope.statistics.library_effects import Key

FOREIGN = "foreign_rna"
FEW = "few_molecules"
# Genes of this many molecules show how cells of a group differ; a median over fewer is a guess.
MIN_TREND_UMI = 100.0
MIN_TREND_GENES = 50


@dataclass(frozen=True)
class Pseudobulk:
    """Every gene's molecules in some groups of cells together.

    Attributes
    ----------
    umi
        (n_genes,) molecules counted.
    foreign, foreign_sd
        (n_genes,) molecules that ambient RNA (and unseen doublets) explain, and the error.
    variance
        (n_genes,) variance of `umi`, cells as they differ.
    exposure
        Native UMIs of the cells without immunoglobulin and mitochondrial genes.
    samples
        Libraries that the cells come from.
    """

    umi: np.ndarray
    foreign: np.ndarray
    foreign_sd: np.ndarray
    variance: np.ndarray
    exposure: float
    n_cells: int
    samples: tuple[str, ...]

    @cached_property
    def native(self) -> np.ndarray:
        """Molecules of the cells' own, at least none."""
        return np.maximum(self.umi - self.foreign, 0.0)

    @cached_property
    def own_exposure(self) -> np.ndarray:
        """Exposure without the gene itself."""
        return np.maximum(self.exposure - self.native, 1.0)

    @cached_property
    def variation(self) -> np.ndarray:
        """Squared coefficient of variation of a gene's native sum, its cells differing.

        A gene's own moment, never less than the median of well-counted genes: a moment from few
        molecules is noise and may be nought.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            own = np.maximum(self.variance - self.umi, 0.0) / np.maximum(self.native, 0.5) ** 2
        counted = self.native >= MIN_TREND_UMI
        enough = counted.sum() >= MIN_TREND_GENES
        usual = float(np.median(own[counted])) if enough else 1.0 / max(self.n_cells, 1)
        few = self.native < 1 / max(usual, 1e-9)
        return np.where(few, usual, np.maximum(own, usual))

    def log_variance(self) -> np.ndarray:
        """Return the sampling variance of each gene's log rate."""
        native = np.maximum(self.native, 0.5)
        counted = np.maximum(self.umi, 0.5) + self.foreign_sd**2
        return counted / native**2 + self.variation


class PatientPseudobulks:
    """The groups of one patient's libraries over the genes that all of them have."""

    def __init__(self, frame: pd.DataFrame) -> None:
        """Index what `tallies.pooled_columns` wrote; genes of one symbol are added up."""
        keys = ["sample_id", "kind", "clone_id"]
        self._groups = dict(list(frame.groupby(keys, sort=False)))
        tumour = frame[frame["kind"] != "lineage"]
        self._annotated = {
            sample: pd.Index(part["gene"].unique())
            for sample, part in tumour.groupby("sample_id", sort=False)
        }

    def has(self, key: Key) -> bool:
        """Return whether there are cells in a group."""
        return key in self._groups

    def cells_in(self, key: Key) -> int:
        """Return how many cells a group has."""
        return int(self._groups[key]["n_cells"].iloc[0]) if key in self._groups else 0

    def shared_genes(self, samples: Sequence[str]) -> np.ndarray:
        """Return the symbols that all these libraries' annotations have, sorted.

        A gene that one annotation lacks would pass for one that the cells stopped expressing.
        """
        found = [self._annotated[sample] for sample in samples]
        shared = found[0]
        for other in found[1:]:
            shared = shared.intersection(other)
        return np.sort(shared.to_numpy(dtype=object).astype(str))

    def sum_of(self, keys: Sequence[Key], genes: np.ndarray) -> Pseudobulk:
        """Return groups' molecules together; foreign errors of libraries are independent."""
        total = {name: np.zeros(len(genes)) for name in ("umi", "ambient", "variance")}
        squares = np.zeros(len(genes))
        exposure, n_cells = 0.0, 0
        present = [key for key in keys if key in self._groups]
        for key in present:
            part = self._groups[key]
            summed = part.groupby("gene")[["umi", "ambient", "variance", "ambient_sd"]].sum()
            summed = summed.reindex(genes, fill_value=0.0)
            for name in total:
                total[name] += summed[name].to_numpy(float)
            squares += summed["ambient_sd"].to_numpy(float) ** 2
            exposure += float(part["exposure"].iloc[0])
            n_cells += int(part["n_cells"].iloc[0])
        return Pseudobulk(
            umi=total["umi"],
            foreign=total["ambient"],
            foreign_sd=np.sqrt(squares),
            variance=total["variance"],
            exposure=exposure,
            n_cells=n_cells,
            samples=tuple(dict.fromkeys(key[0] for key in present)),
        )


def read_pseudobulks(path: str) -> PatientPseudobulks:
    """Return one patient's pseudobulks as its job wrote them."""
    return PatientPseudobulks(pd.read_parquet(Path(path)))


def without_doublets(
    tumour: Pseudobulk,
    lineages: Mapping[str, Pseudobulk],
    genes: np.ndarray,
    contaminants: Mapping[str, Sequence[str]],
) -> Pseudobulk:
    """Return the tumour's molecules with those of unseen doublets counted as foreign.

    As for ANXA1 (`anxa1_contrasts.with_doublets`), for all genes: identity genes of another
    lineage in the tumour, over their rate in the lineage's own cells of the same libraries, give
    the share of such RNA; that share of the lineage's every gene is foreign.
    """
    foreign, squares = tumour.foreign.copy(), tumour.foreign_sd**2
    for lineage, symbols in contaminants.items():
        own = lineages.get(lineage)
        identity = np.isin(genes, list(symbols))
        if own is None or own.native[identity].sum() <= 0:
            continue
        umi = tumour.umi[identity].sum()
        native = max(umi - tumour.foreign[identity].sum(), 0.0)
        error = np.sqrt(max(umi, 1.0) + tumour.foreign_sd[identity].sum() ** 2)
        per_molecule = own.native / own.native[identity].sum()
        # The lineage's share of the tumour's RNA is at most all of it.
        scale = min(native, own.native[identity].sum() * tumour.exposure / own.exposure)
        foreign += scale * per_molecule
        squares = squares + (error * per_molecule) ** 2
    return replace(tumour, foreign=foreign, foreign_sd=np.sqrt(squares))


def set_aside(
    genes: np.ndarray, arms: Sequence[Pseudobulk], *, min_umi: float, max_foreign: float
) -> np.ndarray:
    """Return (n_genes,) why a gene is not compared, "" where it is.

    Immunoglobulin and T-cell receptor genes tell of the clone's or other cells' rearrangement,
    mitochondrial ones of dying cells, haemoglobin of red cells that lysed. `few_molecules`: the
    arms together hold fewer than `min_umi`. `foreign_rna`: more than `max_foreign` of the arms'
    molecules are expected from other cells. A gene that was lost is kept, though all that is left
    of it in one arm is foreign.
    """
    reason = np.full(len(genes), "", dtype=object)
    classes = gene_classes(genes)
    receptor = pd.Series(genes).str.match(r"TR[ABDG][VDJC]").to_numpy(bool)
    together = np.sum([arm.umi for arm in arms], axis=0)
    foreign = np.sum([arm.foreign for arm in arms], axis=0)
    reason[foreign > max_foreign * np.maximum(together, 1.0)] = FOREIGN
    reason[together < min_umi] = FEW
    for name in ("immunoglobulin", "mitochondrial", "haemoglobin"):
        reason[classes[name]] = name
    reason[receptor] = "t_cell_receptor"
    return reason
