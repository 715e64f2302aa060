"""Simulated pseudobulks of relapse and before with a known truth, for tests and benchmarks."""

from dataclasses import dataclass

import numpy as np
from relapsescope.programmes.pairs import Pair
from relapsescope.programmes.pseudobulk import Pseudobulk
from relapsescope.programmes.settings import ProgrammeSettings
from relapsescope.statistics.library_effects import LibraryEffects

SETTINGS = ProgrammeSettings(
    min_cells=20,
    min_umi=20.0,
    max_foreign_share=0.5,
    min_log2_change=0.585,
    call_level=0.999,
    min_patients=2,
    false_discovery_rate=0.05,
    gene_sets=("shipped",),
    min_set_genes=5,
    max_set_genes=500,
    permutations=200,
)
LINEAGES = {"T": 6e5, "NK": 1e5, "Monocyte": 7e5, "B": 2e5}
MIN_REFERENCE_UMI = 10.0


@dataclass(frozen=True)
class World:
    """What is true of every simulated patient.

    Attributes
    ----------
    n_cells, depth
        Cells of each arm and native UMIs a cell.
    dispersion
        Squared coefficient of variation of a gene's rate between cells.
    shared_sd, own_sd
        Of one library's log rates: what all its cells share, and each cell type's own part.
    ambient
        Foreign molecules over native ones, with an error of 15 % in their amount.
    changed, log2_change
        Share of the genes that change, and by how much, up and down alike.
    patients_sd
        How the change differs between patients (log2).
    """

    n_genes: int = 600
    n_cells: int = 150
    depth: float = 5000.0
    dispersion: float = 0.5
    shared_sd: float = 0.12
    own_sd: float = 0.09
    ambient: float = 0.05
    changed: float = 0.0
    log2_change: float = 0.0
    patients_sd: float = 0.0

    @property
    def effects(self):
        """The libraries' effects as a cohort would measure them."""
        return LibraryEffects(self.shared_sd, self.own_sd, 10_000)


def simulated_pairs(rng, world, n_patients):
    """Return a pair a patient and the true log2 change of every gene, (n_patients, n_genes)."""
    genes = np.array([f"GENE{i:05d}" for i in range(world.n_genes)])
    usual = np.exp(rng.uniform(np.log(10), np.log(1500), world.n_genes))
    lineage = {name: usual * rng.lognormal(0, 1.0, world.n_genes) for name in LINEAGES}
    soup = usual * rng.lognormal(0, 1.0, world.n_genes)
    common = np.zeros(world.n_genes)
    n_changed = int(world.changed * world.n_genes)
    common[:n_changed] = world.log2_change * np.where(np.arange(n_changed) % 2, 1, -1)
    pairs, truth = [], []
    for patient in range(n_patients):
        own = usual * rng.lognormal(0, 0.3, world.n_genes)
        change = common + rng.normal(0, world.patients_sd, world.n_genes) * (common != 0)
        arms, references = [], []
        for factor in (1.0, np.exp2(change)):
            shared = rng.normal(0, world.shared_sd, world.n_genes)
            arms.append(_group(rng, world, own * factor, shared, soup, world.n_cells))
            references.append(
                {
                    name: _group(rng, world, lineage[name], shared, soup, exposure / 2500, 2500.0)
                    for name, exposure in LINEAGES.items()
                }
            )
        both = {name: (references[1][name], references[0][name]) for name in LINEAGES}
        pairs.append(Pair(f"P{patient}", "A", genes, arms[1], arms[0], both, True))
        truth.append(change)
    return pairs, np.array(truth)


def _group(rng, world, rate, shared, soup, n_cells, depth=None):
    n = int(n_cells)
    exposure = n * (depth or world.depth)
    shift = np.exp(shared + rng.normal(0, world.own_sd, world.n_genes))
    cells = rng.gamma(n / world.dispersion, world.dispersion / n, world.n_genes)
    mean = rate * shift * cells * exposure / 1e6
    foreign = world.ambient * soup * exposure / 1e6
    umi = rng.poisson(mean + foreign * rng.lognormal(0, 0.15)).astype(float)
    native = np.maximum(umi - foreign, 0)
    return Pseudobulk(
        umi=umi,
        foreign=foreign,
        foreign_sd=0.15 * foreign,
        variance=umi + world.dispersion / n * native**2,
        exposure=float(exposure),
        n_cells=n,
        samples=("one",),
    )
