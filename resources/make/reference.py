"""Write resources/reference/: published rates of normal plasma cells as a shipped reference.

Source: `ref_hca_counts` of github.com/kharchenkolab/numbat at 672e79d64973 (MIT licence): sums of
Human Cell Atlas bone marrow and blood cells, here as counts per million of 12 cell types. The
plasma column rests on 2.02 million UMIs. Run

    python resources/make/reference.py hca_reference_cpm.tsv.gz
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from relapsescope.antigens.records import Counted, Kind, Library, Record, record_columns
from relapsescope.intake.genes import gene_classes
from relapsescope.intake.identity import symbol_meant
from relapsescope.reference.files import FILES, SHIPPED_FOLDER
from relapsescope.reference.manifest import write_manifest
from relapsescope.statistics.rates import Tally
from relapsescope.tables import write_parquet
from relapsescope.vocabulary import SHIPPED

# 9,659 molecules of MZB1 are 4,783.94 a million.
PLASMA_UMI = 9659 / 4783.94e-6
# UMIs of a usual normal plasma cell, which only says of how many cells the sums may be.
UMI_PER_CELL = 8000.0
# Log ratios of 2,100 to 5,400 genes between this table and another laboratory's library (10x PBMC,
# CD4 and CD8 T, B and NK cells) had standard deviations of 0.55 to 0.69 and 2.5 % quantiles of
# -0.9 to -1.9. A normal of ln 3 holds these tails.
BETWEEN_LOG_SD = float(np.log(3.0))
# Variation of a gene's rate between cells; with some 250 cells it plays no part.
DISPERSION = 1.0


def main(table: Path) -> None:
    """Write the reference from the table of rates."""
    rates = pd.read_csv(table, sep="\t", index_col=0)["Plasma"]
    symbols = np.array([symbol_meant(str(name), {}) for name in rates.index], dtype=object)
    counts = pd.Series(np.rint(rates.to_numpy() * PLASMA_UMI / 1e6), index=symbols)
    counts = counts[counts.index != ""].groupby(level=0).sum().sort_index()
    classes = gene_classes(counts.index.to_numpy(dtype=object))
    counted = ~(classes["immunoglobulin"] | classes["mitochondrial"])
    native = float(counts[counted].sum())
    cells = int(PLASMA_UMI / UMI_PER_CELL)
    library = Library(
        "reference_0001", "reference_person_0001", "healthy", "bone_marrow", umi_ceiling=False
    )
    records = [
        Record(
            Counted(library.sample_id, Kind.NORMAL_PLASMA, "", gene),
            cells,
            Tally(cells, umi, native - umi, 0.0, 0.0, 1 / cells, DISPERSION),
        )
        for gene, umi in counts[counted].items()
    ]
    columns = record_columns(records, {library.sample_id: library})
    SHIPPED_FOLDER.mkdir(parents=True, exist_ok=True)
    write_parquet(SHIPPED_FOLDER / FILES["molecules"], columns)
    write_manifest(
        SHIPPED_FOLDER,
        name="normal plasma cells of the Human Cell Atlas",
        kind=SHIPPED,
        between_log_sd=BETWEEN_LOG_SD,
        made_from={
            "source": "ref_hca_counts of github.com/kharchenkolab/numbat at 672e79d64973",
            "licence": "MIT",
            "n_people": "pooled, number not stated",
            "umi": round(PLASMA_UMI),
        },
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
