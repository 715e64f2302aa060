"""What a laboratory value can be, to tell wrong units from disease.

The limits are far outside what the IMWG criteria ask about (Rajkumar et al., Lancet Oncol
2014;15:e538; Kumar et al., Lancet Oncol 2016;17:e328): they catch units, not illness. Factors
between units are those of molar masses: calcium 40.08, creatinine 113.12 g/mol.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """Lowest and highest plausible value in a unit, and what to do beyond."""

    low: float
    high: float
    unit: str
    remedy: str


RANGES = {
    "serum_m_protein_g_dl": Range(0, 15, "g/dl", "give g/dl: divide g/l by 10"),
    "urine_m_protein_mg_24h": Range(0, 60_000, "mg/24h", "give mg in 24 hours"),
    "flc_kappa_mg_l": Range(0, 200_000, "mg/l", "give mg/l: multiply mg/dl by 10"),
    "flc_lambda_mg_l": Range(0, 200_000, "mg/l", "give mg/l: multiply mg/dl by 10"),
    "marrow_plasma_cell_pct": Range(0, 100, "%", "give per cent of nucleated marrow cells"),
    "mrd_sensitivity": Range(1e-8, 0.01, "", "give the assay's limit, e.g. 1e-5"),
    "calcium_mg_dl": Range(4, 25, "mg/dl", "give mg/dl: multiply mmol/l by 4.008"),
    "hemoglobin_g_dl": Range(1.5, 25, "g/dl", "give g/dl: divide g/l by 10"),
    "creatinine_mg_dl": Range(0.1, 30, "mg/dl", "give mg/dl: divide µmol/l by 88.4"),
    "vaf_or_share": Range(0, 1, "", "give a fraction: divide per cent by 100"),
    "soluble_bcma_ng_ml": Range(0, 20_000, "ng/ml", "give ng/ml: divide pg/ml by 1000"),
}
