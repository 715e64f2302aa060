"""Simulations behind docs/microenvironment.md: false RAISED where nothing rose, and power.

    python benchmarks/suppression_nulls.py --output TABLE.md [--simulations 300]

A relapsed patient with one earlier marrow and a panel of untreated patients are simulated as counts
of cell types and as pooled molecules of the programmes' genes, with donors and libraries that
differ gene by gene (15 % a library, 10 % a donor), programmes that move as a whole, compositions
that vary more than counting, and ambient RNA; the functions of the workflow do the rest.
"""

import argparse
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "workflow"))

from relapsescope.microenvironment.settings import SuppressionSettings  # noqa: E402
from relapsescope.microenvironment.suppression import OVERALL, suppression_rows  # noqa: E402
from relapsescope.microenvironment.suppressive_programmes import CD4_T, MYELOID, programmes  # noqa: E402
from relapsescope.microenvironment.tallies import GENE, MARKED  # noqa: E402
from relapsescope.run.config_file import default_values  # noqa: E402
from relapsescope.settings import settings_of  # noqa: E402
from relapsescope.vocabulary import NOT_RAISED, RAISED  # noqa: E402

# Molecules a million in unsuppressed monocytes with macrophages, and in CD4 T cells: the order of
# magnitude of the healthy donors of a simulated cohort. Genes without a number: 3.
RATES = {
    **{"S100A8": 9000, "S100A9": 13000, "CXCL8": 180, "CXCL2": 90, "TREM1": 130, "STAT1": 70},
    **{"STAT3": 45, "STAT6": 60, "NFKB1": 45, "OLR1": 40, "PTGS2": 30, "CD84": 40, "CXCL1": 17},
    **{"C1QA": 1000, "C1QB": 500, "CD163": 270, "MSR1": 45, "MRC1": 30, "MERTK": 8, "IL10": 8},
    **{"TGFB1": 170, "TNFSF13B": 350, "FOXP3": 22, "IL2RA": 38, "IKZF2": 20, "CTLA4": 65},
}
SHARES = {
    **{"CD14 monocyte": 0.20, "CD16 monocyte": 0.03, "Macrophage": 0.008, "CD4 T": 0.20},
    **{"Treg": 0.02, "CD8 T": 0.24, "NK": 0.08, "B naive": 0.05, "Erythroid": 0.12, "HSPC": 0.05},
}
# What a suppressive cell shows instead: assumptions, as in resources/simulate/programmes.tsv.
SUPPRESSIVE = {
    **{"S100A8": 27000, "S100A9": 27000, "CXCL8": 900, "TREM1": 110, "STAT1": 70, "STAT3": 90},
    **{"OLR1": 80, "PTGS2": 60, "ARG1": 90, "ARG2": 10, "IL10": 45, "CD274": 40, "IDO1": 45},
    **{"TGFB1": 260, "TNFSF13B": 700, "CD163": 220, "MRC1": 60},
}
MARKING_CPM = {False: 15.0, True: 225.0}
AMBIENT_CPM = 5.0
DISPERSION = 1.0


@dataclass(frozen=True)
class Scenario:
    """What a cohort is like.

    Attributes
    ----------
    n_untreated
        Untreated patients in the panel.
    cells, depth
        Cells of each library without plasma cells, native UMIs a cell.
    composition_sd
        Standard deviation of each cell type's log share, a draw a library.
    module_sd
        Standard deviation of a whole programme's log rate, a draw a library.
    relapse_depth, relapse_ambient
        Factors on the relapse library.
    suppressed, macrophages, treg
        What is true at relapse: share of the monocytes and macrophages that are suppressive,
        factor on macrophages, on regulatory T cells.
    """

    name: str
    n_untreated: int = 3
    cells: int = 800
    depth: int = 2500
    composition_sd: float = 0.3
    module_sd: float = 0.1
    relapse_depth: float = 1.0
    relapse_ambient: float = 1.0
    suppressed: float = 0.03
    macrophages: float = 1.0
    treg: float = 1.0


NULLS = (
    Scenario("as usual"),
    Scenario("two untreated patients", n_untreated=2),
    Scenario("ten untreated patients", n_untreated=10),
    Scenario("very uneven composition", composition_sd=0.8),
    Scenario("programmes move as a whole, 25 %", module_sd=0.25),
    Scenario("programmes move as a whole, 50 %", module_sd=0.5),
    Scenario("half the depth at relapse", relapse_depth=0.5),
    Scenario("five times the ambient RNA at relapse", relapse_ambient=5.0),
    Scenario("300 cells a library", cells=300),
    Scenario("4,000 cells a library", cells=4000),
)
BASE = NULLS[0]
POWER = (
    *(
        replace(BASE, name=f"{f:.0%} of the myeloid cells suppressive", suppressed=f)
        for f in (0.1, 0.2, 0.3, 0.5, 0.7)
    ),
    replace(BASE, name="30 %, two untreated patients", suppressed=0.3, n_untreated=2),
    replace(BASE, name="30 %, ten untreated patients", suppressed=0.3, n_untreated=10),
    replace(BASE, name="30 %, 300 cells", suppressed=0.3, cells=300),
    replace(BASE, name="30 %, 4,000 cells", suppressed=0.3, cells=4000),
    replace(BASE, name="30 %, programmes move 25 %", suppressed=0.3, module_sd=0.25),
    *(replace(BASE, name=f"macrophages × {f:g}", macrophages=f) for f in (4.0, 10.0)),
    *(replace(BASE, name=f"regulatory T cells × {f:g}", treg=f) for f in (2.0, 4.0)),
    replace(BASE, name="regulatory T cells × 4, 4,000 cells", treg=4.0, cells=4000),
)


def library_of(
    rng: np.random.Generator,
    scenario: Scenario,
    sample: str,
    donor: dict[str, float],
    relapse: bool,
) -> tuple[list[dict], list[dict]]:
    """Return a library's rows of the composition and of the tallies."""
    shares = {
        name: share * np.exp(rng.normal(0, scenario.composition_sd))
        for name, share in SHARES.items()
    }
    if relapse:
        shares["Macrophage"] *= scenario.macrophages
        shares["Treg"] *= scenario.treg
    total = sum(shares.values())
    n = rng.multinomial(scenario.cells, [share / total for share in shares.values()])
    cells = dict(zip(shares, (int(v) for v in n), strict=True))
    # A call finds half of the regulatory T cells; the others are among CD4 T cells.
    missed = rng.binomial(cells["Treg"], 0.5)
    true_treg = cells["Treg"]
    cells["Treg"] -= missed
    cells["CD4 T"] += missed
    composition = [{"sample_id": sample, "cell_type": k, "n_cells": v} for k, v in cells.items()]
    depth = scenario.depth * (scenario.relapse_depth if relapse else 1.0)
    ambient_cpm = AMBIENT_CPM * (scenario.relapse_ambient if relapse else 1.0)
    myeloid = cells["CD14 monocyte"] + cells["CD16 monocyte"] + cells["Macrophage"]
    members = {MYELOID: myeloid, CD4_T: cells["CD4 T"] + cells["Treg"]}
    treg_share = true_treg / max(members[CD4_T], 1) / 0.09
    macrophage_share = cells["Macrophage"] / max(myeloid, 1) / 0.034
    suppressed = (scenario.suppressed if relapse else 0.03) * np.exp(rng.normal(0, 0.3))
    tallies, seen = [], set()
    for programme in programmes():
        module = np.exp(rng.normal(0, scenario.module_sd))
        size = members[programme.population]
        exposure = float(size * depth)
        for gene in programme.symbols:
            if (programme.population, gene) in seen or not exposure:
                continue
            seen.add((programme.population, gene))
            rate = RATES.get(gene, 3.0)
            if programme.population == MYELOID:
                rate += suppressed * (SUPPRESSIVE.get(gene, rate) - rate)
            rate *= donor.get(gene, 1.0) * np.exp(rng.normal(0, 0.15)) * module
            if gene in ("C1QA", "C1QB"):
                rate *= macrophage_share
            if programme.population == CD4_T:
                rate *= treg_share
            native = rng.poisson(rng.gamma(size / DISPERSION, rate * depth / 1e6 * DISPERSION))
            foreign = rng.poisson(ambient_cpm * exposure / 1e6)
            expected = ambient_cpm * np.exp(rng.normal(0, 0.15)) * exposure / 1e6
            umi = native + foreign
            tallies.append(
                {
                    "sample_id": sample,
                    "kind": GENE,
                    "population": programme.population,
                    "gene": gene,
                    "n_cells": size,
                    "exposure": exposure,
                    "umi": umi,
                    "variance": umi + DISPERSION * native**2 / max(size, 1),
                    "ambient": expected,
                    "ambient_sd": 0.15 * expected,
                }
            )
    seen_when = {kind: 1 - np.exp(-cpm * 1e3 / 1e6) for kind, cpm in MARKING_CPM.items()}
    share = (1 - suppressed) * seen_when[False] + suppressed * seen_when[True]
    share *= np.exp(rng.normal(0, 0.15))
    chance = 1 - np.exp(-5 * ambient_cpm * 1e3 / 1e6)
    marked = rng.binomial(myeloid, min(share + chance, 1.0))
    tallies.append(
        {
            "sample_id": sample,
            "kind": MARKED,
            "population": MYELOID,
            "gene": "",
            "n_cells": myeloid,
            "umi": float(marked),
            "ambient": chance * myeloid,
        }
    )
    return composition, tallies


def simulate(
    rng: np.random.Generator, scenario: Scenario
) -> tuple[list[dict], pd.DataFrame, pd.DataFrame]:
    """Return the sheet, the composition and the tallies of a cohort with one relapsed patient."""
    people = [(f"U{i}", ["untreated"]) for i in range(scenario.n_untreated)]
    people.append(("P", ["pre_infusion", "relapse"]))
    sheet, composition, tallies = [], [], []
    for patient, timepoints in people:
        donor = {gene: float(np.exp(rng.normal(0, 0.1))) for gene in RATES}
        for timepoint in timepoints:
            sample = f"{patient}_{timepoint}"
            sheet.append(
                {
                    "sample_id": sample,
                    "patient_id": patient,
                    "timepoint": timepoint,
                    "day": "",
                    "tissue": "bone_marrow",
                    "sorting": "none",
                }
            )
            parts = library_of(rng, scenario, sample, donor, timepoint == "relapse")
            composition += parts[0]
            tallies += parts[1]
    return sheet, pd.DataFrame(composition), pd.DataFrame(tallies)


def measure(
    scenario: Scenario, n: int, settings: SuppressionSettings, seed: int
) -> dict[str, float]:
    """Return the share of simulations with each joint verdict, and of single rows RAISED."""
    rng = np.random.default_rng(seed)
    joint, single, least = [], [], []
    for _ in range(n):
        rows = suppression_rows(*simulate(rng, scenario), settings)
        own = [row for row in rows if row["sample_id"] == "P_relapse"]
        joint += [row["verdict"] for row in own if row["measure"] == OVERALL]
        least += [row.get("p_adjusted", 1.0) for row in own if row["measure"] == OVERALL]
        single += [row["verdict"] == RAISED for row in own if row["measure"] != OVERALL]
    verdicts = np.array(joint)
    return {
        "raised": float((verdicts == RAISED).mean()),
        "not_raised": float((verdicts == NOT_RAISED).mean()),
        "single": float(np.mean(single)),
        **{f"at {p}": float((np.array(least) <= p).mean()) for p in (0.025, 0.05, 0.1)},
    }


def table(scenarios: tuple[Scenario, ...], n: int, settings: SuppressionSettings) -> list[str]:
    """Return a table of the scenarios, a line each."""
    lines = [
        "| scenario | RAISED | NOT_RAISED | INDETERMINATE | single rows | p ≤ 0.025, 0.05, 0.1 |",
        "|---|---|---|---|---|---|",
    ]
    for number, scenario in enumerate(scenarios):
        found = measure(scenario, n, settings, seed=number)
        rest = 1 - found["raised"] - found["not_raised"]
        values = (found["raised"], found["not_raised"], rest, found["single"])
        lines.append(
            f"| {scenario.name} | " + " | ".join(f"{100 * v:.1f} %" for v in values) + " |"
        )
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--simulations", type=int, default=300)
    options = parser.parse_args()
    config = default_values()
    settings = settings_of(SuppressionSettings, config["suppression"], name="suppression")
    start = time.process_time()
    lines = [f"{options.simulations} simulations a row.", "", "Nothing rose:", ""]
    lines += table(NULLS, options.simulations, settings)
    lines += ["", "Something rose:", ""]
    lines += table(POWER, options.simulations, settings)
    lines += ["", f"{time.process_time() - start:.0f} CPU s"]
    options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
