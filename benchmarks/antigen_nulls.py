"""Simulations behind docs/antigens.md: coverage, false LOST and false HIGH, power, usual rules.

    python benchmarks/antigen_nulls.py --output TABLE.md [--losses 2000] [--seed 7]

Two libraries of one patient (before CAR-T and relapse) are simulated cell by cell for the genes
in question and as sums for 400 others, with ambient RNA, doublets that no step found, cells that
differ, and a shift of every gene in every library; the functions of the workflow do the rest.
"""

import argparse
import sys
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import special, stats

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "workflow"))

from relapsescope.antigens.anxa1 import anxa1_rows  # noqa: E402
from relapsescope.antigens.cell_groups import PLASMA_KINDS  # noqa: E402
from relapsescope.antigens.mixture import CALIBRATION  # noqa: E402
from relapsescope.antigens.molecules import Clones, Molecules  # noqa: E402
from relapsescope.antigens.ratios import Cohort, antigen_rows  # noqa: E402
from relapsescope.antigens.records import Counted, Kind, Subset  # noqa: E402
from relapsescope.antigens.references import MALIGNANT_KEY  # noqa: E402
from relapsescope.antigens.settings import AntigenSettings, Anxa1Settings  # noqa: E402
from relapsescope.run.config_file import default_values  # noqa: E402
from relapsescope.settings import settings_of  # noqa: E402
from relapsescope.statistics.library_effects import Pooled, library_effects  # noqa: E402
from relapsescope.statistics.rates import estimate, rate, ratio, tally  # noqa: E402
from relapsescope.statistics.retention import cell_counts  # noqa: E402
from relapsescope.statistics.settings import RateSettings  # noqa: E402

# Molecules a million in each kind of cell (Human Cell Atlas via Numbat's ref_hca, rounded).
GENES = {
    "TNFRSF17": {"clone": 300},
    "GPRC5D": {"clone": 50},
    "ANXA1": {"clone": 150, "T": 1400, "Monocyte": 900, "NK": 800, "B": 65},
    "CD3D": {"T": 300},
    "CD3E": {"T": 250},
    "TRAC": {"T": 500},
    "CD14": {"Monocyte": 300},
    "FCN1": {"Monocyte": 600},
    "MNDA": {"Monocyte": 300},
}
AMBIENT_PROFILE = {"ANXA1": 3e-4, "TNFRSF17": 4e-5, "GPRC5D": 1e-5}
OTHER_PROFILE = 5e-5
LINEAGES = {"T": (250, 0.5), "NK": (60, 0.5), "Monocyte": (150, 0.9), "B": (60, 0.6)}
N_OTHERS = 400
N_EMPTY = 450_000
DISPERSION = 0.5


@dataclass(frozen=True)
class Scenario:
    """What a pair of libraries is like; depth is native UMIs a plasma cell.

    Of the relapse clone's cells a share `other_clone` kept the antigens and is another clone's; the
    posterior says `claimed` times as many. A share `retaining` of the cells at hand (so many, not
    on average) kept them and is the clone's own; a share `homotypic` shares its droplet with a cell
    that kept them. `chemistry_sd` is a further shift of every gene in the library before, made with
    another chemistry. `relapse_depth` is a factor on the depth at relapse.
    """

    name: str
    n_cells: int = 200
    depth: int = 5000
    ambient: float = 0.05
    doublets: float = 0.0
    shift_sd: float = 0.15
    antigen_ratio: float = 1.0
    anxa1_ratio: float = 1.0
    other_clone: float = 0.0
    claimed: float = 1.0
    retaining: float = 0.0
    homotypic: float = 0.0
    chemistry_sd: float = 0.0
    relapse_depth: float = 1.0
    cpm: float = 300.0


@dataclass(frozen=True)
class Simulated:
    """A simulated patient, and the clone's cells for the usual rules."""

    molecules: Molecules
    pooled: Pooled
    umi: dict[tuple[str, str], np.ndarray]
    exposure: dict[str, np.ndarray]
    true_ratio: float


def simulate(
    rng: np.random.Generator, scenario: Scenario, *, antigen_only: bool = False
) -> Simulated:
    """Return a patient with a library before CAR-T and one at relapse.

    `antigen_only` leaves out all but the clone and BCMA, to be quick.
    """
    genes = ["TNFRSF17"] if antigen_only else list(GENES)
    names = [*genes, *(f"GENE{i}" for i in range(N_OTHERS))]
    groups = ["clone", *([] if antigen_only else LINEAGES)]
    usual = {g: np.exp(rng.uniform(np.log(20), np.log(1000), N_OTHERS)) for g in groups}
    rows, pooled, umi, exposure, counted = [], [], {}, {}, {}
    true_ratio = 1.0
    for sample, timepoint in (("before", "pre_infusion"), ("relapse", "relapse")):
        shift = np.exp(rng.normal(0, scenario.shift_sd, len(names)))
        if sample == "before" and scenario.chemistry_sd:
            shift *= np.exp(rng.normal(0, scenario.chemistry_sd, len(names)))
        library_depth = scenario.depth * (scenario.relapse_depth if sample == "relapse" else 1.0)
        place = {
            "patient_id": "P",
            "sample_id": sample,
            "timepoint": timepoint,
            "tissue": "bone_marrow",
            "umi_ceiling": False,
        }
        soup_error = rng.lognormal(0, 0.15)
        for group in groups:
            n, relative = (scenario.n_cells, 1.0) if group == "clone" else LINEAGES[group]
            depth = library_depth * relative * rng.lognormal(-0.125, 0.5, n)
            guest = np.full(n, "", dtype=object)
            if group == "clone" and sample == "relapse":
                paired = rng.random(n) < scenario.doublets
                guest[paired] = rng.choice(["T", "Monocyte"], paired.sum(), p=[0.6, 0.4])
            second = np.array([library_depth * LINEAGES[g][1] if g else 0.0 for g in guest])
            kept = np.zeros(n, dtype=bool)
            if group == "clone" and sample == "relapse" and scenario.other_clone:
                kept = rng.random(n) < scenario.other_clone
            if group == "clone" and sample == "relapse" and scenario.retaining:
                kept = rng.permutation(n) < round(scenario.retaining * n)
            old = np.zeros(n)
            if group == "clone" and sample == "relapse" and scenario.homotypic:
                old = (rng.random(n) < scenario.homotypic) * library_depth
            if group == "clone" and sample == "relapse":
                # Of the clone as it is, whatever cells were drawn; doublets are not its own.
                keeps = max(scenario.retaining, scenario.other_clone)
                true_ratio = keeps + (1 - keeps) * scenario.antigen_ratio
            soup = scenario.ambient / (1 - scenario.ambient) * library_depth * 0.7
            cells, chance = {}, {}
            for i, gene in enumerate(genes):
                own = GENES[gene].get(group, 0.0)
                if gene == "TNFRSF17" and group == "clone":
                    own = scenario.cpm
                full = own
                if group == "clone" and sample == "relapse":
                    own *= scenario.anxa1_ratio if gene == "ANXA1" else 1.0
                    lowered = scenario.antigen_ratio if gene in ("TNFRSF17", "GPRC5D") else 1.0
                    own = own * np.where(kept, 1.0, lowered)
                foreign = np.array([GENES[gene].get(g, 0.0) if g else 0.0 for g in guest])
                cell = rng.gamma(1 / DISPERSION, DISPERSION, n)
                profile = AMBIENT_PROFILE.get(gene, OTHER_PROFILE)
                mean = (own * cell * depth + foreign * second) * shift[i] / 1e6
                if old.any():
                    second_cell = rng.gamma(1 / DISPERSION, DISPERSION, n)
                    mean = mean + full * second_cell * old * shift[i] / 1e6
                cells[gene] = rng.poisson(mean + soup * soup_error * profile)
                chance[gene] = rng.poisson(profile * N_EMPTY)
            strict = np.ones(n, dtype=bool)
            for identity in (("CD3D", "CD3E", "TRAC"), ("CD14", "FCN1", "MNDA")):
                seen = sum(cells.get(g, 0) for g in identity)
                expected = soup * sum(chance.get(g, 0) for g in identity) / N_EMPTY
                p = np.where(seen > 0, special.gammainc(np.maximum(seen, 1), expected), 1.0)
                strict &= p > 0.05
            whole = np.ones(n, dtype=bool)
            kinds = [(Kind.LINEAGE, group, Subset.OWN, whole)]
            if group == "clone":
                parts = {Subset.OWN: whole, Subset.STRICT: strict, Subset.WIDE: whole}
                kinds = [(Kind.CLONE, "A", subset, part) for subset, part in parts.items()]
                if not antigen_only:
                    kinds.append((*MALIGNANT_KEY, Subset.OWN, whole))
            for kind, clone, subset, members in kinds:
                for gene in genes:
                    one = tally(
                        cells[gene][members],
                        (depth + second + old)[members],
                        np.full(members.sum(), soup * chance[gene] / N_EMPTY),
                        ambient_log_sd=0.15,
                        profile_umi=chance[gene],
                        settings=RateSettings(),
                    )
                    seen = {"detected": (cells[gene][members] > 0).sum()}
                    p = scenario.other_clone * scenario.claimed if kept.any() else 0.0
                    base = scenario.cpm if gene == "TNFRSF17" else GENES[gene].get("clone", 0.0)
                    rate = base / 1e6
                    judged = subset == Subset.OWN and kind in PLASMA_KINDS
                    if judged and gene in ("TNFRSF17", "GPRC5D", "ANXA1"):
                        counted[sample, kind, clone, gene] = cell_counts(
                            cells[gene],
                            depth + second + old,
                            np.full(n, soup * chance[gene] / N_EMPTY),
                        )
                    seen["mixed"] = p * rate * depth[members].sum()
                    seen["mixed_sd"] = np.hypot(
                        rate * np.sqrt(p * (1 - p) * (depth[members] ** 2).sum()),
                        CALIBRATION * seen["mixed"],
                    )
                    key = Counted(sample, kind, clone, gene, subset)
                    rows.append(place | key._asdict() | vars(one) | seen)
            total = (depth + second + old).sum()
            others = usual[group] * shift[len(genes) :] * total / 1e6
            drawn = rng.poisson(others * rng.gamma(n / DISPERSION, DISPERSION / n, N_OTHERS))
            sums = np.array([*(cells[g].sum() for g in genes), *drawn], dtype=np.float32)
            clean = np.array([soup * chance[g] / N_EMPTY * n for g in genes])
            summed = (sums, sums * (1 + DISPERSION * sums / n))
            keys = [("lineage", group)]
            if group == "clone":
                keys = [("clone", "A"), MALIGNANT_KEY]
            pooled += [
                ((sample, *key), *summed, np.concatenate([clean, np.zeros(N_OTHERS)]), total)
                for key in keys
            ]
            if group == "clone":
                umi |= {(sample, gene): cells[gene] for gene in genes}
                exposure[sample] = depth + second + old
    frame = pd.DataFrame(rows)
    for column in ("detected_twice", "detected_above_ambient"):
        frame[column] = np.nan
    return Simulated(
        Molecules(frame, counted),
        Pooled(
            np.array(names, dtype=object),
            {key: i for i, (key, *_) in enumerate(pooled)},
            np.array([one[1] for one in pooled]),
            np.array([one[2] for one in pooled]),
            np.array([one[3] for one in pooled]),
            np.array([one[4] for one in pooled]),
        ),
        umi,
        exposure,
        true_ratio,
    )


def judge(one: Simulated, settings: tuple[AntigenSettings, Anxa1Settings]) -> dict[str, str]:
    """Return our verdicts on the relapse clone, and what the usual rules say."""
    antigens, high = settings
    clones = Clones({"relapse": ("A",)}, frozenset())
    patients = {"before": "P", "relapse": "P"}
    effects = library_effects(one.pooled, patients, assumed_sd=antigens.library_log_sd)
    said = {}
    for row in antigen_rows(Cohort(one.molecules, one.pooled, effects, clones, antigens)):
        if (row["sample_id"], row["clone_id"]) == ("relapse", "A"):
            gene = row["antigen"]
            said[gene] = row["verdict"]
            limits = row.get("ratio_ci_low", 0.0), row.get("ratio_ci_high", np.inf)
            said[f"{gene} covered"] = bool(limits[0] <= one.true_ratio <= limits[1])
            with np.errstate(divide="ignore"):
                said[f"{gene} width"] = float(np.log2(limits[1]) - np.log2(limits[0]))
            said[f"{gene} expected"] = row.get("expected_umi", np.nan)
            said[f"{gene} row"] = row
    for row in anxa1_rows(Cohort(one.molecules, one.pooled, effects, clones, antigens), high):
        if (row["sample_id"], row["compartment"]) == ("relapse", "relapse_clone"):
            said["ANXA1"] = row["verdict"]
    for gene in ("TNFRSF17", "GPRC5D", "ANXA1"):
        now, then = (
            np.log1p(1e4 * one.umi[s, gene] / one.exposure[s]) for s in ("relapse", "before")
        )
        p = stats.mannwhitneyu(now, then).pvalue if np.ptp([*now, *then]) > 0 else 1.0
        fold = np.expm1(now).mean() / max(np.expm1(then).mean(), 1e-9)
        said[f"{gene} zeros"] = bool((now == 0).mean() > 0.5)
        said[f"{gene} lower"] = bool(p < 0.05 and fold < 1)
        said[f"{gene} twice"] = bool(p < 0.05 and fold >= 2)
        said[f"{gene} higher"] = bool(p < 0.05 and fold > 1)
    return said


def judge_loss(one: Simulated, settings: AntigenSettings) -> dict[str, object]:
    """Return the relapse clone's row of `antigens.tsv` for BCMA, and whether its ratio is true."""
    clones = Clones({"relapse": ("A",)}, frozenset())
    patients = {"before": "P", "relapse": "P"}
    effects = library_effects(one.pooled, patients, assumed_sd=settings.library_log_sd)
    rows = antigen_rows(Cohort(one.molecules, one.pooled, effects, clones, settings))
    (row,) = (
        r for r in rows if r["sample_id"] == "relapse" and r["antigen"] == settings.car_target
    )
    low, high = row.get("ratio_ci_low", 0.0), row.get("ratio_ci_high", np.inf)
    return row | {"covers": low <= one.true_ratio <= high, "ends": (low, high)}


# Nothing is lost: no clone may be called LOST. A clone of which a tenth retains the antigen lies on
# the very limit.
LOSS_NULLS = (
    Scenario("10 % retain", 283, 8400, antigen_ratio=0.0, retaining=0.1),
    Scenario("10 % retain, 5 % doublets with the old clone", 283, 8400, antigen_ratio=0.0,
             retaining=0.1, homotypic=0.05),
    Scenario("10 % retain, 20 % ambient RNA", 283, 8400, ambient=0.2, antigen_ratio=0.0,
             retaining=0.1),
    Scenario("10 % retain, a third of the depth", 283, 8400, antigen_ratio=0.0, retaining=0.1,
             relapse_depth=0.33),
    Scenario("10 % retain, reference of another chemistry", 283, 8400, antigen_ratio=0.0,
             retaining=0.1, chemistry_sd=0.5),
    Scenario("nothing changed"),
    Scenario("20 % ambient RNA", ambient=0.2),
    Scenario("a third of the depth", relapse_depth=0.33),
    Scenario("reference of another chemistry", chemistry_sd=0.5),
    Scenario("30 % of the cells retain", antigen_ratio=0.0, retaining=0.3),
    Scenario("at 0.3 in all cells", antigen_ratio=0.3),
    Scenario("nothing changed, 60 cells", 60),
    Scenario("library shifts of 0.3", shift_sd=0.3),
    Scenario("10 % retain, 300 molecules expected", 200, antigen_ratio=0.0, retaining=0.1),
    Scenario("10 % retain, 100 molecules expected", 200, 1667, antigen_ratio=0.0, retaining=0.1),
)  # fmt: skip
LOSSES = (
    Scenario("lost, 60 expected", 120, 1667, antigen_ratio=0.0),
    Scenario("lost, 100 expected", 200, 1667, antigen_ratio=0.0),
    Scenario("1 % stray cells, 100 expected, 100 cells", 100, 3333, antigen_ratio=0.0,
             retaining=0.01),
    Scenario("1 % stray cells, 100 expected, 200 cells", 200, 1667, antigen_ratio=0.0,
             retaining=0.01),
    Scenario("1 % stray cells, 100 expected, 400 cells", 400, 833, antigen_ratio=0.0,
             retaining=0.01),
    Scenario("1 % stray cells, 300 expected", 200, 5000, antigen_ratio=0.0, retaining=0.01),
    Scenario("1 % stray cells, 700 expected", 283, 8400, antigen_ratio=0.0, retaining=0.01),
    Scenario("2 % doublets with the old clone, 700 expected", 283, 8400, antigen_ratio=0.0,
             homotypic=0.02),
)  # fmt: skip


def loss_table(
    scenarios: Sequence[Scenario],
    n: int,
    settings: AntigenSettings,
    seed: int,
    n_full: int = 500,
) -> list[str]:
    """Return verdicts on BCMA, and how its ratio's interval covers, by scenario.

    An interval holds its estimate, so that no ratio over the limit is ever called `LOST`: after
    `n_full` simulations only the others are judged, for the sake of that one count.
    """
    lines = [
        "| scenario | expected | `LOST` | `REDUCED` | `RETAINED` | `INDETERMINATE` | covers | "
        "width, log2 | share of cells |",
        "|---" * 9 + "|",
    ]
    for scenario in scenarios:
        rng = np.random.default_rng([seed, zlib.crc32(scenario.name.encode())])
        rows, lost = [], 0
        for number in range(n):
            one = simulate(rng, scenario, antigen_only=True)
            if number < n_full:
                rows.append(judge_loss(one, settings))
                lost += rows[-1]["verdict"] == "LOST"
            elif _pooled_ratio(one) < settings.lost_below:
                lost += judge_loss(one, settings)["verdict"] == "LOST"
        told = [row for row in rows if "ratio" in row]
        ends = np.array([row["ends"] for row in told]).reshape(-1, 2)
        with np.errstate(divide="ignore"):
            width = np.median(np.log2(ends[:, 1]) - np.log2(ends[:, 0])) if told else np.nan
        verdicts = [np.mean([row["verdict"] == v for row in rows]) for v in VERDICTS]
        shares = [np.median([r[c] for r in told]) if told else np.nan for c in SHARES]
        cells = [
            scenario.name,
            f"{np.median([row['expected_umi'] for row in told]) if told else np.nan:.0f}",
            f"{lost} of {n}",
            *(f"{100 * share:.1f} %" for share in verdicts[1:]),
            f"{np.mean([row['covers'] for row in told]) if told else np.nan:.3f}",
            f"{width:.2f}",
            "{:.3f} ({:.3f} to {:.3f})".format(*shares),
        ]
        lines.append("| " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    return lines


def _pooled_ratio(one: Simulated) -> float:
    """Return the ratio of BCMA's pooled rates, relapse over before."""
    now, then = (
        estimate(one.molecules.tally(sample, "clone", "A", "TNFRSF17"))
        for sample in ("relapse", "before")
    )
    return now / then if then > 0 else 0.0


VERDICTS = ("LOST", "REDUCED", "RETAINED", "INDETERMINATE")
SHARES = ("retaining_share", "retaining_share_ci_low", "retaining_share_ci_high")


NULLS = (
    Scenario("usual library"),
    Scenario("20 % ambient", ambient=0.2),
    Scenario("10 % unseen doublets at relapse", doublets=0.1),
    Scenario("1,500 UMI a cell", depth=1500),
    Scenario("library shifts of 0.3", shift_sd=0.3),
    Scenario("30 cells", n_cells=30),
    Scenario("all of these, 60 cells", 60, 1500, 0.2, 0.1, 0.3),
    Scenario("all of these, 300 cells", 300, 1500, 0.2, 0.1, 0.3),
    Scenario("antigens at 0.3 of before, 20 % ambient", ambient=0.2, antigen_ratio=0.3),
    Scenario("ANXA1 at 1.5 of before, 10 % doublets", doublets=0.1, anxa1_ratio=1.5),
    Scenario("at 0.3, 5 % of the cells of a clone at 1", antigen_ratio=0.3, other_clone=0.05),
    Scenario("at 0.2, the same, 10 % claimed", antigen_ratio=0.2, other_clone=0.05, claimed=2.0),
)


def share(said: list[dict[str, str]], key: str, value: object = True) -> str:
    """Return a percentage of simulations."""
    return f"{100 * np.mean([one[key] == value for one in said]):.1f} %"


def null_table(n: int, settings: tuple[AntigenSettings, Anxa1Settings]) -> list[str]:
    """Return false calls by scenario, ours beside the usual rules'."""
    lines = [
        "| null | false `LOST` BCMA / GPRC5D | zeros over 50 % BCMA / GPRC5D | Wilcoxon lower, BCMA"
        " | false `HIGH` ANXA1 | Wilcoxon higher | and at least twice |",
        "|---|---|---|---|---|---|---|",
    ]
    totals: list[dict[str, str]] = []
    for number, scenario in enumerate(NULLS):
        rng = np.random.default_rng([7, number])
        said = [judge(simulate(rng, scenario), settings) for _ in range(n)]
        totals += said
        lines.append(_null_line(scenario.name, said))
    lines.append(_null_line(f"**all {len(totals)}**", totals))
    return lines


def _null_line(name: str, said: list[dict[str, str]]) -> str:
    cells = [
        name,
        f"{share(said, 'TNFRSF17', 'LOST')} / {share(said, 'GPRC5D', 'LOST')}",
        f"{share(said, 'TNFRSF17 zeros')} / {share(said, 'GPRC5D zeros')}",
        share(said, "TNFRSF17 lower"),
        share(said, "ANXA1", "HIGH"),
        share(said, "ANXA1 higher"),
        share(said, "ANXA1 twice"),
    ]
    return "| " + " | ".join(cells) + " |"


ANXA1_CASES = (
    Scenario("unchanged, 100 cells, 100 molecules", 100, 6667),
    Scenario("unchanged, 140 cells, 105 molecules", 140),
    Scenario("unchanged, 200 cells, 150 molecules", 200),
    Scenario("unchanged, 20 % ambient RNA", 200, ambient=0.2),
    Scenario("unchanged, 10 % unseen doublets at relapse", 200, doublets=0.1),
    Scenario("unchanged, library shifts of 0.3", 200, shift_sd=0.3),
    Scenario("at 1.5, 10 % unseen doublets", 200, doublets=0.1, anxa1_ratio=1.5),
    Scenario("twofold, 200 cells", 200, anxa1_ratio=2.0),
    Scenario("threefold, 140 cells", 140, anxa1_ratio=3.0),
    Scenario("fivefold, 140 cells", 140, anxa1_ratio=5.0),
)


def anxa1_table(n: int, settings: tuple[AntigenSettings, Anxa1Settings], seed: int) -> list[str]:
    """Return ANXA1's verdicts on the relapse clone by scenario."""
    lines = ["| scenario | `HIGH` | `NOT_HIGH` | undecided |", "|---" * 4 + "|"]
    clones = Clones({"relapse": ("A",)}, frozenset())
    for scenario in ANXA1_CASES:
        rng = np.random.default_rng([seed, zlib.crc32(scenario.name.encode())])
        found = {"HIGH": 0, "NOT_HIGH": 0, "INDETERMINATE": 0}
        for _ in range(n):
            one = simulate(rng, scenario)
            effects = library_effects(
                one.pooled,
                dict.fromkeys(("before", "relapse"), "P"),
                assumed_sd=settings[0].library_log_sd,
            )
            (row,) = (
                r
                for r in anxa1_rows(
                    Cohort(one.molecules, one.pooled, effects, clones, settings[0]), settings[1]
                )
                if (r["sample_id"], r["compartment"]) == ("relapse", "relapse_clone")
            )
            found[row["verdict"]] += 1
        told = " | ".join(f"{count} of {n}" for count in found.values())
        lines.append(f"| {scenario.name} | {told} |")
        print(lines[-1], flush=True)
    return lines


def power_table(n: int, settings: tuple[AntigenSettings, Anxa1Settings]) -> list[str]:
    """Return how often a complete loss and a sixfold ANXA1 are called, by cells and depth."""
    depths = (1500, 3000, 6000)
    lines = [
        "| cells | " + " | ".join(f"{depth:,} UMI a cell" for depth in depths) + " |",
        "|---" * (len(depths) + 1) + "|",
    ]
    for n_cells in (15, 30, 60, 120, 300):
        row = [str(n_cells)]
        for depth in depths:
            rng = np.random.default_rng([8, n_cells, depth])
            scenario = Scenario("", n_cells, depth, antigen_ratio=0.0, anxa1_ratio=6.0)
            said = [judge(simulate(rng, scenario), settings) for _ in range(n)]
            calls = (("TNFRSF17", "LOST"), ("GPRC5D", "LOST"), ("ANXA1", "HIGH"))
            row.append(
                " / ".join(f"{100 * np.mean([s[k] == v for s in said]):.0f}" for k, v in calls)
            )
        lines.append("| " + " | ".join(row) + " |")
    return lines


def coverage_table(n: int) -> list[str]:
    """Return the coverage of rates and ratios over the grid of issue 4."""
    results = []
    for n_cells in (15, 60, 250):
        for depth in (1500, 8000):
            for dispersion in (0.0, 0.5, 2.0):
                for ambient in (0.0, 0.05, 0.2):
                    for cpm in (0, 25, 250):
                        seed = [9, n_cells, depth, int(10 * dispersion), int(100 * ambient), cpm]
                        rng = np.random.default_rng(seed)
                        covered = np.zeros(2)
                        for _ in range(n):
                            one = _group(rng, n_cells, depth, dispersion, ambient, cpm)
                            base = _group(rng, 200, 6000, dispersion, ambient, 200)
                            alone, both = rate(one), ratio(one, base)
                            covered += [
                                alone.low <= cpm <= alone.high,
                                both.low <= cpm / 200 <= both.high,
                            ]
                        results.append((n_cells, depth, dispersion, ambient, cpm, *covered / n))
    grid = pd.DataFrame(
        results, columns=["cells", "depth", "dispersion", "ambient", "cpm", "rate", "ratio"]
    )
    lines = ["| | points | mean | lowest | points under 93 % |", "|---|---|---|---|---|"]
    for name in ("rate", "ratio"):
        low = grid[name]
        lines.append(
            f"| {name} | {len(grid)} | {low.mean():.3f} | {low.min():.3f} | {(low < 0.93).sum()} |"
        )
    worst = grid.sort_values("ratio").head(3).to_dict("records")
    lines += ["", *(f"Lowest: {one}" for one in worst)]
    return lines


def _group(rng, n_cells, depth, dispersion, ambient, cpm, profile=5e-5):
    exposure = depth * rng.lognormal(-0.125, 0.5, n_cells)
    soup = np.full(n_cells, ambient / (1 - ambient) * depth)
    cells = rng.gamma(1 / dispersion, dispersion, n_cells) if dispersion else np.ones(n_cells)
    umi = rng.poisson(cpm * 1e-6 * cells * exposure + soup * rng.lognormal(0, 0.15) * profile)
    seen = rng.poisson(profile * N_EMPTY)
    return tally(
        umi,
        exposure,
        soup * seen / N_EMPTY,
        ambient_log_sd=0.15,
        profile_umi=seen,
        settings=RateSettings(),
    )


def main() -> None:
    """Write the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--simulations", type=int, default=200)
    parser.add_argument("--losses", type=int, default=2000, help="simulations of each loss or null")
    parser.add_argument("--seed", type=int, default=7, help="of the losses and their nulls")
    parser.add_argument("--anxa1", type=int, default=0, help="simulations of each case of ANXA1")
    parser.add_argument("--only-losses", action="store_true")
    arguments = parser.parse_args()
    config = default_values()
    section = config["antigens"] | {"genes": ["TNFRSF17", "GPRC5D"]}
    settings = (
        settings_of(AntigenSettings, section, name="antigens"),
        settings_of(Anxa1Settings, config["anxa1"], name="anxa1"),
    )
    n, seed = arguments.simulations, arguments.seed
    bcma = settings_of(AntigenSettings, section | {"genes": ["TNFRSF17"]}, name="antigens")
    started = time.process_time()
    parts = []
    if arguments.anxa1:
        parts += [("ANXA1", anxa1_table(arguments.anxa1, settings, seed))]
    if arguments.losses:
        losses = loss_table(LOSSES, max(arguments.losses // 4, 1), bcma, seed)
        parts += [
            ("BCMA where nothing is lost", loss_table(LOSS_NULLS, arguments.losses, bcma, seed)),
            ("BCMA where it is lost", losses),
        ]
    if not arguments.only_losses:
        parts += _usual_tables(n, settings)
    lines = []
    for title, table in parts:
        lines += [f"### {title}", "", *table, ""]
    arguments.output.write_text("\n".join(lines), encoding="utf-8")
    print(f"{time.process_time() - started:.0f} CPU s")


def _usual_tables(
    n: int, settings: tuple[AntigenSettings, Anxa1Settings]
) -> list[tuple[str, list[str]]]:
    return [
        ("False calls where nothing is lost or high", null_table(n, settings)),
        ("Power: LOST BCMA / LOST GPRC5D / HIGH ANXA1, %", power_table(max(n // 4, 1), settings)),
        ("Coverage of 95 % intervals", coverage_table(n)),
    ]


if __name__ == "__main__":
    main()
