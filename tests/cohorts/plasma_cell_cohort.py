"""Made plasma cells of patients and donors: rates, clones, libraries and a panel."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from relapsescope.clones.immunoglobulin import KAPPA, LAMBDA
from relapsescope.clones.normal_panel import Panel
from relapsescope.clones.normal_plasma import make_panel, normal_cells
from relapsescope.clones.patient_clones import assess_patient, clone_settings
from relapsescope.clones.plasma_cells import PlasmaLibrary, gene_space
from relapsescope.intake.genes import gene_table
from relapsescope.run.config_file import default_values
from scipy import sparse

CONFIG = default_values()
SETTINGS = clone_settings(CONFIG)
SETTINGS = replace(SETTINGS, clones=replace(SETTINGS.clones, bootstraps=2))
KAPPA_V = ("IGKV1-5", "IGKV3-20", "IGKV4-1", "IGKV1-39", "IGKV3-11", "IGKV1-33", "IGKV2-30")
LAMBDA_V = ("IGLV1-40", "IGLV2-14", "IGLV3-1", "IGLV1-44", "IGLV2-8", "IGLV1-51")
HEAVY_V = ("IGHV3-23", "IGHV1-2", "IGHV3-30", "IGHV4-34", "IGHV1-69", "IGHV5-51", "IGHV3-7")
HEAVY = ("IGHG1", "IGHA1", "IGHM")
RECEPTOR = ("IGKC", "IGLC2", *KAPPA_V, *LAMBDA_V, *HEAVY_V, *HEAVY)
UMI = 2500


def gene_ids() -> np.ndarray:
    """Return 90 genes of each autosomal arm that has them, and the receptors."""
    table = gene_table()
    space = gene_space(table.gene_ids)
    chosen = []
    for arm in sorted(set(space.arms[space.used])):
        chosen += list(np.flatnonzero(space.used & (space.arms == arm))[:90])
    place = {symbol: i for i, symbol in enumerate(table.symbols)}
    chosen += [place[symbol] for symbol in RECEPTOR]
    return table.gene_ids[np.array(chosen)]


IDS = gene_ids()
SPACE = gene_space(IDS)
USED = np.flatnonzero(SPACE.used)
PLACE = {symbol: i for i, symbol in enumerate(SPACE.symbols)}


class World:
    """Rates of normal plasma and T cells, and clones made from them."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.plasma = self.rng.lognormal(0, 1.3, len(IDS)) * SPACE.used
        self.t_cell = self.plasma * self.rng.lognormal(0, 1.0, len(IDS))

    def clone(self, events: str = "", parent: np.ndarray | None = None) -> np.ndarray:
        rates = (self.plasma if parent is None else parent).copy()
        genes = self.rng.choice(USED, 60 if parent is None else 20, replace=False)
        rates[genes] *= self.rng.lognormal(0.2, 0.8, len(genes))
        for event in filter(None, events.split(";")):
            rates[SPACE.arms == event[1:]] *= 1.3 if event[0] == "+" else 0.7
        return rates

    def cells(
        self, n: int, rates: np.ndarray, effect: np.ndarray, receptor: tuple | None
    ) -> np.ndarray:
        shares = rates * effect / (rates * effect).sum()
        depth = self.rng.lognormal(np.log(UMI), 0.3, n)
        counts = self.rng.poisson(np.outer(depth, shares))
        for i in range(n):
            chain, light, heavy_v, heavy = receptor or self.normal_receptor()
            for symbol, mean in (
                ("IGKC" if chain == KAPPA else "IGLC2", 150),
                (light, 20),
                (heavy_v, 15),
                (heavy, 100),
            ):
                if symbol:
                    counts[i, PLACE[symbol]] += self.rng.poisson(mean)
        return counts

    def normal_receptor(self) -> tuple[str, str, str, str]:
        chain = KAPPA if self.rng.random() < 0.6 else LAMBDA
        light = self.rng.choice(KAPPA_V if chain == KAPPA else LAMBDA_V)
        return chain, str(light), str(self.rng.choice(HEAVY_V)), str(self.rng.choice(HEAVY))

    def library(
        self,
        name: str,
        timepoint: str,
        groups: list[tuple[int, np.ndarray | None, tuple | None]],
        *,
        patient: str = "P1",
    ) -> tuple[PlasmaLibrary, np.ndarray]:
        """Return a library of groups (cells, rates or None for normal, receptor), and the truth."""
        effect = self.rng.lognormal(0, 0.12, len(IDS))
        made = [
            self.cells(n, self.plasma if rates is None else rates, effect, receptor)
            for n, rates, receptor in groups
        ]
        counts = np.vstack(made)
        truth = np.repeat(np.arange(len(groups)), [n for n, _, _ in groups])
        t_cells = self.t_cell * effect / (self.t_cell * effect).sum()
        library = PlasmaLibrary(
            sample_id=name,
            patient_id=patient,
            timepoint=timepoint,
            day=np.nan,
            barcodes=np.array([f"{name}-{i}" for i in range(len(counts))], dtype=object),
            counts=sparse.csr_matrix(counts.astype(np.int32)),
            ambient_umi=np.full(len(counts), 20.0),
            ambient=counts.sum(axis=0) / max(counts.sum(), 1),
            background={"T": self.rng.poisson(400 * 1500 * t_cells).astype(float)},
            background_ambient={"T": 0.0},
        )
        return library, truth

    def panel(self, *, n_donors: int = 4, n_cells: int = 30) -> Panel:
        chosen = []
        for i in range(n_donors):
            library, _ = self.library(f"H{i}", "healthy", [(n_cells, None, None)], patient=f"H{i}")
            normal, calls, _ = normal_cells(
                library, SPACE.symbols, settings=SETTINGS.immunoglobulin
            )
            chosen.append((library.over(USED), normal, calls))
        return make_panel(IDS[USED], chosen)


CLONE = (KAPPA, "IGKV4-1", "IGHV3-23", "IGHG1")


def assess(libraries, panel, patient="P1") -> Mapping:
    return assess_patient(
        patient, libraries, IDS, panel, [None] * len(libraries), settings=SETTINGS, seed=1
    )
