"""B cell receptor contigs of Cell Ranger, preferred over expression where given."""

import csv
import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from relapsescope.clones.immunoglobulin import AMBIGUOUS, KAPPA, LAMBDA, Immunoglobulin

CHAINS = {"IGK": KAPPA, "IGL": LAMBDA}
TRUE = ("true", "1", "yes")


def read_contigs(path: str | None) -> dict[str, dict[str, str]] | None:
    """Return each barcode's light chain, V genes and heavy constant gene, None without a file.

    Productive, high-confidence contigs count; of several of one locus the one of most UMIs. A
    barcode with kappa and lambda contigs of more than a fifth of each other's UMIs is ambiguous.
    """
    if not path:
        return None
    best: dict[str, dict[str, tuple[float, dict[str, str]]]] = {}
    with Path(path).open(newline="", encoding="utf-8-sig") as handle:
        for row in csv.DictReader(handle):
            chain = row.get("chain", "")
            good = row.get("productive", "").lower() in TRUE
            good &= row.get("high_confidence", "true").lower() in TRUE
            if chain not in ("IGH", "IGK", "IGL") or not good:
                continue
            umis = float(row.get("umis") or 0)
            cell = best.setdefault(row["barcode"], {})
            if chain not in cell or umis > cell[chain][0]:
                cell[chain] = (umis, row)
    return {barcode: _summary(cell) for barcode, cell in best.items()}


def _summary(cell: Mapping[str, tuple[float, Mapping[str, str]]]) -> dict[str, str]:
    found: dict[str, str] = {}
    light = sorted((cell[c][0], c) for c in CHAINS if c in cell)
    if light:
        umis, chain = light[-1]
        both = len(light) == 2 and light[0][0] > 0.2 * umis
        found["light_chain"] = AMBIGUOUS if both else CHAINS[chain]
        if not both:
            found["light_v"] = _gene(cell[chain][1].get("v_gene"))
    if "IGH" in cell:
        found["heavy_v"] = _gene(cell["IGH"][1].get("v_gene"))
        found["heavy"] = _gene(cell["IGH"][1].get("c_gene"))
    return {key: value for key, value in found.items() if value}


def _gene(name: Any) -> str:
    text = re.sub(r"^(IGKV\d)D", r"\1", str(name or "").split("*")[0])
    return "" if text in ("None", "nan") else text


def apply_contigs(
    ig: Immunoglobulin, barcodes: np.ndarray, contigs: Mapping[str, Mapping[str, str]] | None
) -> Immunoglobulin:
    """Return the calls with those of contigs in their place, where the cell has any."""
    if not contigs:
        return ig
    columns = {
        name: getattr(ig, name).copy() for name in ("light_chain", "light_v", "heavy_v", "heavy")
    }
    for i, barcode in enumerate(barcodes):
        for name, value in contigs.get(barcode, {}).items():
            columns[name][i] = value
    return dataclasses.replace(ig, **columns, assessable=True)
