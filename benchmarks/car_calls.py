"""How many published CAR-T cells a finished run detects, and how many cells where there are none.

    python benchmarks/car_calls.py RESULTS published_labels.csv.gz

The labels are those of Anderson 2023 (columns `cell`, as `library_barcode`, `published_CART`,
`CAT_scFv_UMI`). Unsorted libraries without one cell of two transgene UMIs count as holding none.
"""

import argparse
from pathlib import Path

import pandas as pd


def main() -> None:
    """Print a row a library and the totals."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("labels", type=Path)
    wanted = parser.parse_args()
    files = sorted((wanted.results / "patients").glob("*/car_cells.parquet"))
    columns = ["sample_id", "barcode", "car_status", "car_umi", "t_stratum"]
    cells = pd.concat([pd.read_parquet(path, columns=columns) for path in files])
    labels = pd.read_csv(wanted.labels)
    published = set(labels.loc[labels["published_CART"], "cell"])
    cells["detected"] = cells["car_status"] == "detected"
    cells["published"] = (cells["sample_id"] + "_" + cells["barcode"]).isin(published)
    cells["certain"] = cells["published"] & (cells["car_umi"] >= 2)
    rows = []
    for name, own in cells.groupby("sample_id"):
        certain = own[own["certain"]]
        rows.append(
            {
                "library": name,
                "barcodes": len(own),
                "certain": len(certain),
                "certain_detected": int(certain["detected"].sum()),
                "two_umi": int((own["car_umi"] >= 2).sum()),
                "one_umi": int((own["car_umi"] == 1).sum()),
                "detected": int(own["detected"].sum()),
                "detected_share": own["detected"].mean(),
            }
        )
    table = pd.DataFrame(rows)
    print(table.to_string(index=False, float_format="%.4f"))
    totals = table[["certain", "certain_detected"]].sum()
    print(f"certain CAR-T cells detected: {totals['certain_detected']} of {totals['certain']}")
    none = table[(table["two_umi"] == 0)]
    print(f"highest share where no cell has two UMIs: {none['detected_share'].max():.4f}")


if __name__ == "__main__":
    main()
