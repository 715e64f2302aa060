"""Write expected.csv: decoupler's AUCell of a matrix, averaged over orders of its genes.

Run in this folder with the packages of envs/lock-peers.txt (`make peers`). decoupler breaks ties
by the order of the
genes, so that order is drawn anew each time; without ties (`untied`) no order matters.
"""

import decoupler
import numpy as np
import pandas as pd

SETS = {"few": ["G3", "G10", "G17", "G39"], "many": [f"G{i}" for i in range(0, 60, 4)]}
ORDERS, TOP_RANKS = 4000, 20


def matrices() -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(5)
    genes = [f"G{i}" for i in range(60)]
    untied = np.array([rng.permutation(60) + 1 for _ in range(6)])
    tied = rng.poisson(rng.gamma(0.5, 1.5, 60), (6, 60))
    return {n: pd.DataFrame(m, columns=genes) for n, m in (("untied", untied), ("tied", tied))}


def aucell(table: pd.DataFrame) -> pd.DataFrame:
    net = pd.DataFrame([(name, g) for name, genes in SETS.items() for g in genes])
    net.columns = ["source", "target"]
    return decoupler.mt.aucell(table.astype(float), net, tmin=1, n_up=TOP_RANKS)[0]


if __name__ == "__main__":
    rng = np.random.default_rng(6)
    parts = []
    for name, table in matrices().items():
        orders = 1 if name == "untied" else ORDERS
        total = sum(
            aucell(table[rng.permutation(table.columns)])[list(SETS)] for _ in range(orders)
        )
        parts.append((total / orders).assign(matrix=name, cell=range(len(table))))
        table.to_csv(f"{name}.csv", index=False)
    pd.concat(parts).to_csv("expected.csv", index=False, float_format="%.6f")
