"""What the shipped reference says of one relapse marrow alone: unchanged, and without BCMA.

Each draw is a marrow of a laboratory whose rate of the gene differs from the table's by a
log-normal factor (standard deviation ln 3, or as given), 200 cells, and the exposure at which the
table expects 100 (and 400) molecules. Cells differ as a negative binomial does. Run
`python benchmarks/shipped_reference.py [draws] [seed]`.
"""

import sys
from collections import Counter

import numpy as np
import pandas as pd
from relapsescope.antigens.molecules import Clones, Molecules
from relapsescope.antigens.outside import given_rates
from relapsescope.antigens.ratios import Cohort, antigen_rows
from relapsescope.antigens.settings import AntigenSettings
from relapsescope.reference.files import FILES, SHIPPED_FOLDER
from relapsescope.reference.manifest import read_manifest
from relapsescope.run.config_file import default_values
from relapsescope.settings import settings_of
from relapsescope.statistics.library_effects import LibraryEffects, Pooled
from relapsescope.statistics.rates import tally
from relapsescope.statistics.retention import cell_counts
from relapsescope.statistics.settings import RateSettings

GENE, CELLS, DISPERSION = "TNFRSF17", 200, 0.5
NO_POOL = Pooled(np.array([], dtype=object), {}, *(np.zeros((0, 0)) for _ in range(3)), np.zeros(0))
CONFIG = default_values()
SETTINGS = settings_of(AntigenSettings, CONFIG["antigens"] | {"genes": [GENE]}, name="antigens")


def verdict(table: pd.DataFrame, umi: np.ndarray, exposure: np.ndarray) -> str:
    """Return the verdict on a clone of these cells against the shipped table."""
    nothing = np.zeros(len(umi))
    one = tally(
        umi, exposure, nothing, ambient_log_sd=0.3, profile_umi=np.inf, settings=RateSettings()
    )
    row = {
        "patient_id": "P",
        "sample_id": "relapse",
        "timepoint": "relapse",
        "tissue": "bone_marrow",
        "umi_ceiling": False,
        "kind": "all_malignant",
        "clone_id": "all_malignant",
        "gene": GENE,
        "stratum": -1,
        "detected": float((umi > 0).sum()),
        "source": "cohort",
        "between_log_sd": 0.0,
    } | vars(one)
    key = ("relapse", "all_malignant", "all_malignant", GENE)
    molecules = Molecules(
        pd.concat([pd.DataFrame([row]), table], ignore_index=True),
        {key: cell_counts(umi, exposure, nothing)},
    )
    outside = given_rates(molecules, [GENE], SETTINGS.reference)
    effects = LibraryEffects(0.15, 0.1, 0)
    found = antigen_rows(
        Cohort(molecules, NO_POOL, effects, Clones({}, frozenset()), SETTINGS, outside)
    )
    return found[0]["verdict"]


def main(draws: int, seed: int) -> None:
    """Print how often each verdict is given."""
    terms = read_manifest(SHIPPED_FOLDER).terms()
    table = pd.read_parquet(SHIPPED_FOLDER / FILES["molecules"]).assign(**terms)
    table = table[table["gene"] == GENE]
    due = float(table["umi"].iloc[0] / table["exposure"].iloc[0])
    random = np.random.default_rng(seed)
    for what, ratio, spread, expected, n in (
        ("unchanged, ln 3", 1.0, np.log(3.0), 100, draws),
        ("unchanged, ln 3", 1.0, np.log(3.0), 400, draws),
        ("unchanged, a factor of 3 either way", 1.0, 0.0, 100, draws),
        ("lost", 0.0, np.log(3.0), 100, draws // 10),
        ("lost", 0.0, np.log(3.0), 400, draws // 10),
    ):
        counted: Counter[str] = Counter()
        for _ in range(n):
            factor = np.exp(random.normal(0, spread)) if spread else 3.0 ** random.choice([-1, 1])
            exposure = random.lognormal(0, 0.4, CELLS)
            exposure *= expected / due / exposure.sum()
            mean = np.maximum(ratio * factor * due * exposure, 1e-12)
            umi = random.poisson(random.gamma(1 / DISPERSION, DISPERSION * mean)).astype(float)
            counted[verdict(table, umi, exposure)] += 1
        shares = ", ".join(f"{name} {100 * k / n:.1f} %" for name, k in counted.most_common())
        print(f"{what}; {expected} expected; {n} draws: {shares}", flush=True)


if __name__ == "__main__":
    main(*map(int, [*sys.argv[1:], *("2000", "11")[len(sys.argv) - 1 :]]))
