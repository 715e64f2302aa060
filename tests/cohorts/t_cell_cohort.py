"""T cells of one patient drawn gene by gene, for the nulls and the power of the exhaustion verdict.

Rates are the simulator's (`resources/simulate`): effector CD8 and memory CD4 cells, a fourteenth
thousand of background genes, cell-wise strength of stress and interferon programmes, gamma-Poisson
counts, gene-wise library effects, and here a further gene-wise effect of each library on its CAR-T
cells alone, which control cells do not share.
"""

from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from relapsescope.car_t.exhaustion_rows import PatientScores, effect_rows
from relapsescope.intake.counts import Counts
from relapsescope.libraries.signatures import read_signatures
from relapsescope.simulate.expression import Genome, genome, nuclear_rates, programme
from relapsescope.t_cells.scores import clean_sets, score_t_cells
from scipy import sparse

N_GENES = 14_000
MEDIAN_UMI, UMI_LOG_SD = 2400.0, 0.45
LIBRARY_SD, OWN_SD = 0.15, 0.05
GAMMA_FROM = 0.1
# Genes that a T-cell receptor or CAR engaged once induces within hours, and how much they rise:
# early response, co-stimulation, cytokines and chemokines, cytotoxicity; then the checkpoint
# receptors that rise with them.
ACTIVATED = """CD69 FOS FOSB JUN JUNB EGR1 EGR2 NR4A1 NR4A2 NR4A3 IRF4 BATF MYC DUSP2 DUSP4 RGS16
    TNFRSF9 TNFRSF4 TNFRSF18 IL2RA IFNG TNF IL2 CSF2 CCL3 CCL4 XCL1 XCL2 GZMB FASLG CD40LG ID3
    HAVCR2 CD160 KLRD1 CRTAM ZBED2 BCAT1"""
RISEN_WITH_THEM = """PDCD1 CTLA4 LAG3 TIGIT PHLDA1 NDFIP2 CSF1 SQLE"""
ACTIVATION = dict.fromkeys(ACTIVATED.split(), 5.0)
CHECKPOINTS = dict.fromkeys(RISEN_WITH_THEM.split(), 2.0)
PROFILES = {"CD8": "CD8 effector", "CD4": "CD4 memory"}
CELL_TYPES = {"CD8": "CD8 T", "CD4": "CD4 T"}


@dataclass(frozen=True)
class Visit:
    """One library's T cells.

    Attributes
    ----------
    cd8
        Share of CD8 cells.
    exhausted
        Share of the CAR-T cells that show the exhaustion programme.
    factors
        Factor on a gene's rate in the CAR-T cells.
    foreign
        Share of the UMIs that plasma and myeloid cells' RNA makes up.
    """

    timepoint: str
    day: int
    n_car: int
    n_other: int = 150
    depth: float = 1.0
    cd8: float = 0.6
    exhausted: float = 0.0
    factors: dict[str, float] = field(default_factory=dict)
    foreign: float = 0.04


@lru_cache(maxsize=1)
def foreign_rates() -> np.ndarray:
    """Return the ambient RNA of a marrow full of plasma cells (sums to 1)."""
    genes = genome(N_GENES)
    parts = {"Plasma": 0.5, "CD14 monocyte": 0.3, "Macrophage": 0.1, "Ery early": 0.1}
    return sum(share * nuclear_rates(genes, name) for name, share in parts.items())


def draw_visit(visit: Visit, rng: np.random.Generator) -> tuple[Counts, np.ndarray, np.ndarray]:
    """Return counts, transgene status and cell type of a library's T cells."""
    genes = genome(N_GENES)
    n = visit.n_car + visit.n_other
    car = np.arange(n) < visit.n_car
    stratum = np.where(rng.random(n) < visit.cd8, "CD8", "CD4")
    library = np.exp(rng.normal(0, LIBRARY_SD, len(genes.symbols)))
    own = np.exp(rng.normal(0, OWN_SD, len(genes.symbols)))
    umi = visit.depth * MEDIAN_UMI * np.exp(rng.normal(0, UMI_LOG_SD, n))
    drawn = np.zeros((n, len(genes.symbols)), dtype=np.int32)
    for kind in ("CD4", "CD8"):
        for carrier in (False, True):
            at = np.flatnonzero((stratum == kind) & (car == carrier))
            if at.size:
                effect = library * own if carrier else library
                rates = _rates(genes, kind, visit, carrier, at.size, rng) * effect
                rates /= rates.sum(axis=1, keepdims=True)
                rates = (1 - visit.foreign) * rates + visit.foreign * foreign_rates()
                drawn[at] = _counted(genes, rates * umi[at, None], rng)
    names = np.array([f"C{i}" for i in range(n)], dtype=object)
    counts = Counts(sparse.csr_matrix(drawn), names, genes.gene_ids, genes.symbols, {}, ())
    status = np.where(car, "detected", "not_detected").astype(object)
    return counts, status, np.array([CELL_TYPES[kind] for kind in stratum], dtype=object)


def _rates(
    genes: Genome, kind: str, visit: Visit, carrier: bool, n: int, rng: np.random.Generator
) -> np.ndarray:
    rates = np.repeat(nuclear_rates(genes, PROFILES[kind])[None, :], n, axis=0)
    exhausted = visit.exhausted if carrier else 0.03 * (kind == "CD8")
    weights = {
        "exhausted": (rng.random(n) < exhausted) * rng.uniform(0.5, 1.0, n),
        "stress": 0.5 * rng.beta(1.0, 6.0, n),
        "interferon": 0.5 * rng.beta(1.0, 12.0, n),
    }
    for name, weight in weights.items():
        at, values = programme(genes, name)
        rates[:, at] += weight[:, None] * (values - rates[:, at])
    if carrier:
        for symbol, factor in visit.factors.items():
            if symbol in genes.index:
                rates[:, genes.index[symbol]] *= factor
    return rates


def _counted(genes: Genome, expected: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    noisy = np.flatnonzero(expected.max(axis=0) > GAMMA_FROM)
    dispersion = genes.dispersion[noisy].astype(float)
    expected = expected.copy()
    expected[:, noisy] *= rng.gamma(1 / dispersion, dispersion, (len(expected), len(noisy)))
    return rng.poisson(expected)


def exhaustion_of(visits, settings, scores, *, seed):
    """Return the rows of `exhaustion.tsv` of a patient with these libraries, drawn anew."""
    rng = np.random.default_rng(seed)
    sets = clean_sets(
        [one for one in read_signatures().values() if one.role != "cell_cycle"], scores.set_aside
    )
    rows, scored = [], []
    for visit in visits:
        counts, status, cell_type = draw_visit(visit, rng)
        stratum = np.where(cell_type == "CD8 T", "CD8", "CD4")
        groups = list(zip(status, stratum, strict=True))
        at = np.arange(len(status))
        scored.append(score_t_cells(counts, at, sets, groups, settings=scores, seed=seed))
        rows.append(
            {
                "patient_id": "P",
                "sample_id": f"P_{visit.timepoint}",
                "timepoint": visit.timepoint,
                "day": visit.day,
                "tissue": "bone_marrow",
                "sorting": "none",
            }
        )
    patient = PatientScores(
        rows,
        scored,
        genome(N_GENES).symbols,
        sets,
        frozenset(gene for one in read_signatures().values() for gene in one.symbols),
    )
    return effect_rows(patient, settings, seed=seed)


def verdict(rows, sample):
    """Return the verdict on a sample's CAR-T cells, and their effects by set."""
    own = [r for r in rows if r["sample_id"] == sample and r["population"] == "car_detected"]
    return own[0]["exhaustion_verdict"], {r["set"]: r for r in own}


def pair(n_car=30, *, earlier=None, later=None):
    """Return an expansion and a relapse alike but for what is given."""
    first = Visit("expansion", 30, 100)
    second = Visit("relapse", 300, n_car)
    return [replace(first, **(earlier or {})), replace(second, **(later or {}))]
