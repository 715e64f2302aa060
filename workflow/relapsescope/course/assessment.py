"""One visit's laboratory values in the units of the lab table."""

from dataclasses import dataclass

from relapsescope.course.three_valued import above

MG_L_PER_MG_DL = 10.0


@dataclass(frozen=True)
class Assessment:
    """One row of ``labs.tsv``; None where nothing was measured.

    Parameters
    ----------
    day
        Days from CAR-T infusion.
    serum_m, urine_m
        M-protein in g/dL and mg/24 h.
    kappa, lambda_
        Free light chains in mg/L, as the table has them.
    marrow
        Plasma cells in the marrow, percent.
    serum_ife, urine_ife, mrd
        True for positive.
    marrow_clonal
        True when immunohistochemistry or flow found clonal plasma cells in the marrow.
    new_lesion
        True for a new or grown bone lesion or plasmacytoma.
    soluble_bcma
        In serum, ng/mL.
    extramedullary
        True for disease outside the marrow.
    """

    day: int
    serum_m: float | None = None
    urine_m: float | None = None
    kappa: float | None = None
    lambda_: float | None = None
    marrow: float | None = None
    serum_ife: bool | None = None
    urine_ife: bool | None = None
    mrd: bool | None = None
    mrd_sensitivity: float | None = None
    calcium: float | None = None
    hemoglobin: float | None = None
    creatinine: float | None = None
    new_lesion: bool | None = None
    marrow_clonal: bool | None = None
    soluble_bcma: float | None = None
    extramedullary: bool | None = None

    @property
    def flc_ratio(self) -> float | None:
        """Kappa over lambda; infinite where lambda is 0."""
        if self.kappa is None or self.lambda_ is None:
            return None
        if self.lambda_ == 0:
            return float("inf") if self.kappa > 0 else None
        return self.kappa / self.lambda_

    def involved_flc(self, chain: str | None) -> float | None:
        """Return the involved chain's concentration in mg/dL."""
        value = {"kappa": self.kappa, "lambda": self.lambda_}.get(chain or "")
        return None if value is None else value / MG_L_PER_MG_DL

    def flc_difference(self, chain: str | None) -> float | None:
        """Return dFLC, involved minus uninvolved chain, in mg/dL."""
        involved = self.involved_flc(chain)
        uninvolved = self.involved_flc({"kappa": "lambda", "lambda": "kappa"}.get(chain or ""))
        return None if involved is None or uninvolved is None else involved - uninvolved


def immunofixation(now: Assessment, fluid: str) -> bool | None:
    """Return whether M-protein is there by immunofixation, in ``serum`` or ``urine``.

    Where it was not done, M-protein that electrophoresis quantifies would show on it; its absence
    on electrophoresis says nothing, for immunofixation is the more sensitive.
    """
    done = now.serum_ife if fluid == "serum" else now.urine_ife
    if done is not None:
        return done
    return True if above(now.serum_m if fluid == "serum" else now.urine_m, 0) else None
