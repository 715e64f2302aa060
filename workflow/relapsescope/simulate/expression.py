"""How much RNA of each gene a cell holds: typed rates, background genes, programmes, arms."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from relapsescope.intake.genes import gene_classes, gene_table
from relapsescope.simulate.plan import SIMULATE_RESOURCES
from relapsescope.simulate.streams import gene_normals

# Assumed spreads of the background (natural logarithm), chosen so that genes per cell at a
# given depth come near real 10x libraries; docs/simulation.md has the comparison.
BACKGROUND_SD = 1.8
COMPARTMENT_SD, LINEAGE_SD, PROFILE_SD = 0.35, 0.30, 0.15
SILENT_MEDIAN_CPM, SILENT_SD = 0.5, 1.0
DISPERSION_MEDIAN, DISPERSION_SD = 0.20, 0.5
GAIN, LOSS = 1.3, 0.7
COMPARTMENTS = {
    **dict.fromkeys(("T", "NK", "B", "Plasma", "pDC"), "lymphoid"),
    **dict.fromkeys(("Granulocyte", "Monocyte", "Macrophage", "cDC", "Mast"), "myeloid"),
    **dict.fromkeys(("Erythroid", "Megakaryocyte"), "erythroid"),
    "HSPC": "progenitor",
    "Stromal": "stromal",
}
# Names of genes that poly-A libraries count little; they are no background genes here.
UNCOUNTED = re.compile(
    r"^(MT-|MIR|SNOR|SCARNA|RNU|RNA5|RN7|RNVU|VTRNA|TRNA|Y_RNA|LINC|LOC|A[CLPFDJ]\d{4}|Z\d{4}|OR\d|"
    r"KRTAP|TR[ABGD][VDJ]|IG[HKL][VDJ]|RP[LS]\d|ENSG)|-AS\d|-DT$|-IT\d|OS$"
)
# Families of which a member is shown by few lineages: silent where no rate is typed, because a
# background rate would put, say, CLEC4C into every lineage.
RESTRICTED = re.compile(
    r"^(CD\d|KLR|KIR|IL\d|CCL|CCR|CXC|XC[LR]|FCGR|FCER|FCRL|LILR|SIGLEC|CLEC|TNFRSF|TNFSF|HLA-D|"
    r"COL\d|KRT|TR[ABGD][CV]|S100A|MS4A|GYP|HB[ABDGEMQZ]|DEFA|CEACAM|GZM|IFN|SLAMF|GP\d|TPS|CA\d)"
)


@dataclass(frozen=True, eq=False)
class Genome:
    """The simulated genes in the matrices' order, without the CAR feature.

    Every array is (n_genes,); `index` finds a symbol's row.
    """

    gene_ids: np.ndarray
    symbols: np.ndarray
    arms: np.ndarray
    index: Mapping[str, int]
    classes: Mapping[str, np.ndarray]
    dispersion: np.ndarray


@lru_cache(maxsize=16)
def resource(name: str) -> pd.DataFrame:
    """Return a typed table of resources/simulate."""
    return pd.read_csv(SIMULATE_RESOURCES / f"{name}.tsv", sep="\t", keep_default_na=False)


@lru_cache(maxsize=4)
def genome(n_genes: int) -> Genome:
    """Return the genes: all that a table names, and background genes up to `n_genes`."""
    table = gene_table()
    symbols = table.symbols.astype(str)
    _, first = np.unique(symbols, return_index=True)
    single = np.zeros(len(symbols), bool)
    single[first] = True
    tables = ("rates", "programmes", "receptor_usage")
    typed = {symbol for name in tables for symbol in resource(name)["symbol"]}
    named = np.array([symbol in typed for symbol in symbols])
    ribosomal = gene_classes(symbols)["ribosomal"]
    wanted = single & (named | ribosomal)
    background = single & ~wanted & np.array([not UNCOUNTED.search(s) for s in symbols])
    order = np.argsort(gene_normals(table.gene_ids, "chosen"), kind="stable")
    order = order[background[order]][: max(0, n_genes - int(wanted.sum()))]
    wanted[order] = True
    keep = np.flatnonzero(wanted)
    ids = table.gene_ids[keep]
    return Genome(
        gene_ids=ids,
        symbols=symbols[keep],
        arms=table.arms[keep].astype(str),
        index={s: i for i, s in enumerate(symbols[keep])},
        classes=gene_classes(symbols[keep]),
        dispersion=DISPERSION_MEDIAN
        * np.exp(DISPERSION_SD * gene_normals(ids, "dispersion")).astype(np.float32),
    )


def profile_table() -> pd.DataFrame:
    """Return resources/simulate/profiles.tsv, indexed by profile."""
    return resource("profiles").set_index("profile", drop=False)


@lru_cache(maxsize=128)
def nuclear_rates(genes: Genome, profile: str) -> np.ndarray:
    """Return the rates of a healthy cell of `profile`.

    Returns
    -------
    (n_genes,) float64, sums to 1: share of each gene among the cell's UMIs without
    immunoglobulin and mitochondrial genes (and without the CAR), the contract's denominator.

    Notes
    -----
    A later group of the profile overrides an earlier one. A gene that is typed for other
    groups or programmes only, or belongs to a restricted family, leaks at about 0.5 CPM. The
    ribosomal share is the profile's own; the background genes take what is left, log-normal, with
    modest differences between compartments, lineages and profiles.
    """
    row = profile_table().loc[profile]
    rates = _typed_rates(genes, ("all", *row["groups"].split(";")), profile)
    typed = ~np.isnan(rates)
    counted = ~(genes.classes["mitochondrial"] | _immunoglobulin(genes))
    ribosomal = genes.classes["ribosomal"] & ~typed
    shares = np.where(typed & counted, np.nan_to_num(rates) / 1e6, 0.0)
    weights = np.exp(0.6 * gene_normals(genes.gene_ids, "ribosomal")) * ribosomal
    shares += row["ribosomal_share"] * weights / weights.sum()
    background = counted & ~typed & ~ribosomal
    lineage = row["lineage"]
    spread = (
        BACKGROUND_SD * gene_normals(genes.gene_ids, "background")
        + COMPARTMENT_SD * gene_normals(genes.gene_ids, f"compartment {COMPARTMENTS[lineage]}")
        + LINEAGE_SD * gene_normals(genes.gene_ids, f"lineage {lineage}")
        + PROFILE_SD * gene_normals(genes.gene_ids, f"profile {profile}")
    )
    weights = np.where(background, np.exp(np.minimum(spread, 3.0 * BACKGROUND_SD)), 0.0)
    left = 1.0 - shares.sum()
    if left <= 0.05:
        raise ValueError(f"profile {profile}: typed rates leave {left:.2f} to the background")
    shares += left * weights / weights.sum()
    shares.flags.writeable = False
    return shares


def _typed_rates(genes: Genome, groups: tuple[str, ...], profile: str) -> np.ndarray:
    table = resource("rates")
    elsewhere = set(table["symbol"]) | set(resource("programmes")["symbol"])
    silent = np.array([s in elsewhere or bool(RESTRICTED.match(s)) for s in genes.symbols])
    leak = SILENT_MEDIAN_CPM * np.exp(
        SILENT_SD
        * (
            0.7 * gene_normals(genes.gene_ids, "leak")
            + 0.7 * gene_normals(genes.gene_ids, f"leak {profile}")
        )
    )
    rates = np.where(silent, leak, np.nan)
    # Genes of the Y chromosome and XIST belong to a donor, not to a cell type.
    sex = table["symbol"][table["profile_group"].isin(["female", "male"])]
    rates[[genes.index[s] for s in sex]] = 0.0
    for group in groups:
        rows = table[table["profile_group"] == group]
        rates[[genes.index[s] for s in rows["symbol"]]] = rows["rate_cpm"].to_numpy(float)
    return rates


def _immunoglobulin(genes: Genome) -> np.ndarray:
    return genes.classes["immunoglobulin"] & (genes.symbols != "IGLL5")


def programme(genes: Genome, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the genes (row numbers) and rates (shares) of a programme; KeyError when unknown."""
    rows = resource("programmes")
    rows = rows[rows["programme"] == name]
    if rows.empty:
        raise KeyError(f"programme {name!r} is not in resources/simulate/programmes.tsv")
    index = np.array([genes.index[s] for s in rows["symbol"]])
    return index, rows["rate_cpm"].to_numpy(float) / 1e6


def apply_programme(rates: np.ndarray, genes: Genome, name: str) -> np.ndarray:
    """Return `rates` with the programme's genes set to its rates, made to sum to 1 again."""
    index, values = programme(genes, name)
    changed = rates.copy()
    changed[index] = values
    return changed / changed.sum()


def arm_factors(genes: Genome, events: tuple[str, ...]) -> np.ndarray:
    """Return (n_genes,) factors of arm-level events: 1.3 where gained, 0.7 where lost."""
    factors = np.ones(len(genes.gene_ids))
    for event in events:
        factors[genes.arms == event[1:]] = GAIN if event[0] == "+" else LOSS
    return factors


def sex_rates(genes: Genome, sex: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the genes (row numbers) and shares that a donor's sex adds."""
    rows = resource("rates")
    rows = rows[rows["profile_group"] == sex]
    index = np.array([genes.index[s] for s in rows["symbol"]])
    return index, rows["rate_cpm"].to_numpy(float) / 1e6


def mitochondrial_shares(genes: Genome) -> tuple[np.ndarray, np.ndarray]:
    """Return the mitochondrial genes (row numbers) and their shares among one another."""
    index, shares = sex_rates(genes, "mitochondria")
    return index, shares / shares.sum()


@lru_cache(maxsize=32)
def segment_usage(segment: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the symbols of a receptor segment and how often each is used (sums to 1)."""
    rows = resource("receptor_usage")
    rows = rows[rows["segment"] == segment]
    usage = rows["usage"].to_numpy(float)
    return tuple(rows["symbol"]), usage / usage.sum()
