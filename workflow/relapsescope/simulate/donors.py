"""What is one person's own: sex, gene-wise differences, malignant clones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from relapsescope.simulate.expression import (
    Genome,
    apply_programme,
    arm_factors,
    nuclear_rates,
    profile_table,
    resource,
    segment_usage,
    sex_rates,
)
from relapsescope.simulate.plan import ClonePlan, CohortPlan, PatientPlan
from relapsescope.simulate.streams import generator

ANTIGENS = ("TNFRSF17", "GPRC5D", "FCRL5", "SLAMF7", "CD38", "SDC1")
PRIVATE_GENES, PRIVATE_SD = 80, 0.9
# A gene is of a plasma cell's identity where it shows so many times the mean of all other profiles;
# a cell that lost it keeps this share of its rate.
IDENTITY_FOLD, IDENTITY_LEFT = 3.0, 0.02
SUBCLONE_GENES = 25
ANTIGEN_SD = 0.25


@dataclass(frozen=True)
class Donor:
    """A person's expression, before a library's own effect.

    Attributes
    ----------
    profiles
        By profile, (n_genes,) shares that sum to 1 (see `nuclear_rates`).
    clones
        By clone, the same for its malignant plasma cells.
    receptors
        The malignant cells' `segment: symbol`: IGHC, IGHV, light constant and variable gene.
    retained
        By clone and gene, the share of its cells that kept the parent's rate, and that rate.
    identity
        By clone, the share of its cells that lost the programme of a plasma cell, and the rows of
        the genes that they lost.
    """

    profiles: dict[str, np.ndarray]
    clones: dict[str, np.ndarray]
    receptors: dict[str, str]
    retained: dict[str, dict[int, tuple[float, float]]]
    identity: dict[str, tuple[float, np.ndarray]] = field(default_factory=dict)

    def mean_rates(self, clone_id: str) -> np.ndarray:
        """Return a clone's rates, cells that retain or lost a gene counted by their share."""
        rates = self.clones[clone_id].copy()
        for at, (share, kept) in self.retained[clone_id].items():
            rates[at] += share * (kept - rates[at])
        share, lost = self.identity.get(clone_id, (0.0, np.array([], dtype=int)))
        rates[lost] *= 1 - share * (1 - IDENTITY_LEFT)
        return rates


def donor(plan: CohortPlan, patient: PatientPlan, genes: Genome, seed: int) -> Donor:
    """Return the expression of one patient's cells, fixed by the seed and the patient's name."""
    rng = generator(seed, "donor", patient.patient_id)
    own = np.exp(rng.normal(0.0, plan.donor_effect, len(genes.gene_ids)))
    index, shares = sex_rates(genes, patient.sex)

    def personal(rates: np.ndarray) -> np.ndarray:
        changed = rates * own
        changed[index] = shares
        return changed / changed.sum()

    profiles = {name: personal(nuclear_rates(genes, name)) for name in profile_table().index}
    clones: dict[str, np.ndarray] = {}
    raw: dict[str, np.ndarray] = {}
    retained: dict[str, dict[int, tuple[float, float]]] = {}
    for clone in patient.clones:
        start = raw[clone.parent] if clone.parent else _first_clone(profiles["Plasma"], genes, rng)
        raw[clone.clone_id], clones[clone.clone_id] = _clone(start, clone, patient, genes, rng)
        before = start * arm_factors(genes, clone.copy_number)
        retained[clone.clone_id] = {
            genes.index[symbol]: (share, float(before[genes.index[symbol]] / before.sum()))
            for symbol, share in clone.retaining.items()
        }
    identity = {
        clone.clone_id: (clone.identity_lost, identity_genes(genes, clone.identity_genes))
        for clone in patient.clones
        if clone.identity_lost
    }
    return Donor(profiles, clones, _receptors(patient, rng), retained, identity)


def identity_genes(genes: Genome, symbols: Sequence[str] = ()) -> np.ndarray:
    """Return the rows of `symbols`; of what a plasma cell shows beyond other cells without any."""
    if symbols:
        return np.array([genes.index[symbol] for symbol in symbols], dtype=int)
    others = [nuclear_rates(genes, name) for name in profile_table().index if name != "Plasma"]
    rates = nuclear_rates(genes, "Plasma")
    typed = set(resource("rates").query("profile_group == 'Plasma'")["symbol"])
    own = rates > IDENTITY_FOLD * np.mean(others, axis=0)
    return np.flatnonzero(own & np.array([symbol in typed for symbol in genes.symbols]))


def _first_clone(plasma: np.ndarray, genes: Genome, rng: np.random.Generator) -> np.ndarray:
    """Return a myeloma cell's rates before copy number: private genes, antigens its own way."""
    rates = apply_programme(plasma, genes, "myeloma")
    private = _background_genes(rates, genes, rng, PRIVATE_GENES)
    rates[private] *= np.exp(rng.normal(0.3, PRIVATE_SD, len(private)))
    for antigen in ANTIGENS:
        rates[genes.index[antigen]] *= np.exp(rng.normal(0.0, ANTIGEN_SD))
    return rates / rates.sum()


def _clone(
    start: np.ndarray,
    clone: ClonePlan,
    patient: PatientPlan,
    genes: Genome,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the clone's rates without and with its copy number (children inherit the first)."""
    rates = start.copy()
    if clone.parent:
        private = _background_genes(rates, genes, rng, SUBCLONE_GENES)
        rates[private] *= np.exp(rng.normal(0.0, PRIVATE_SD, len(private)))
    if clone.driver:
        rates = apply_programme(rates, genes, clone.driver)
    for symbol, factor in clone.rates.items():
        rates[genes.index[symbol]] *= factor
    final = rates * arm_factors(genes, clone.copy_number)
    return rates, final / final.sum()


def _background_genes(
    rates: np.ndarray, genes: Genome, rng: np.random.Generator, n: int
) -> np.ndarray:
    """Return `n` moderately expressed genes that no antigen statement rests on."""
    moderate = (rates > 2e-5) & (rates < 1e-3)
    moderate[[genes.index[symbol] for symbol in (*ANTIGENS, "ANXA1")]] = False
    eligible = np.flatnonzero(moderate)
    return rng.choice(eligible, min(n, len(eligible)), replace=False)


def _receptors(patient: PatientPlan, rng: np.random.Generator) -> dict[str, str]:
    chain = patient.involved_chain or "kappa"
    letter = "K" if chain == "kappa" else "L"
    receptors = {"light_chain": chain}
    for segment in ("IGHC", "IGHV", f"IG{letter}C", f"IG{letter}V"):
        symbols, usage = segment_usage(segment)
        receptors[segment] = str(rng.choice(symbols, p=usage))
    if receptors["IGHC"] == "IGHM":
        receptors["IGHC"] = "IGHG1"
    return receptors
