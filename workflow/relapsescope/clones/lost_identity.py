"""Malignant cells that no longer look like plasma cells, among a patient's Unknown and B cells.

A plasma cell that loses its markers is called `Unknown` (or B) and leaves every count. What it
keeps of its clone are the immunoglobulin's segments, the copy number of its arms and the private
genes. In a myeloma marrow ambient RNA carries the clone's immunoglobulin into every droplet, and a
doublet with a plasma cell carries everything: a cell is brought back only where the clone explains
it better than each of these.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse, special

from relapsescope.clones.clone_segments import segment_log_odds, segment_model
from relapsescope.clones.copy_number import reference_variance, robust_ratio
from relapsescope.clones.malignancy import Malignancy, programme_ratio
from relapsescope.clones.normal_panel import LEAST_RATE, Panel
from relapsescope.clones.patient_cells import (
    CELL_VARIANCE,
    TAIL_DF,
    PatientCells,
    contrast_cells,
)
from relapsescope.clones.plasma_cells import PlasmaLibrary
from relapsescope.clones.settings import CloneSettings, CopyNumberSettings
from relapsescope.clones.subclone_contrast import group_contrast
from relapsescope.clones.tables import Clone
from relapsescope.paths import RESOURCES
from relapsescope.statistics.distributions import t_log_density
from relapsescope.tables import read_tsv

MARKER_TABLE = RESOURCES / "markers.tsv"
# A gene is of a plasma cell's identity where normal plasma cells show so many times the mean of the
# other cell types; it says nothing of which clone a cell is that lost it.
IDENTITY_FOLD = 3.0
# Shares of a droplet that another cell or more ambient RNA may have given beside the clone's.
SECOND_SHARES = (0.3, 0.5, 0.7)
# Spread of the private score, in its distance from normal to clone, between cells of one clone that
# changed their state; and the least between unrelated cell types.
STATE_SPREAD, LEAST_TYPE_SPREAD = 0.3, 0.3
# Cells are compared at their own ambient share, to one of these.
AMBIENT_SHARES = (0.03, 0.1, 0.2, 0.35, 0.6)
# Most that immunoglobulin, and the profile against known types, may say (natural log-odds).
MOST_SEGMENTS, MOST_PROFILE = 8.0, 12.0
# UMIs that the panel's rates of a type weigh beside the library's own cells of it.
PRIOR_UMI = 20000.0
# And UMIs that a normal plasma cell's rate of a gene weighs beside the clone's.
PULL_UMI = 10.0
# What may be left of a plasma cell's identity in a cell that lost it, and by what share of another
# type a profile may be wrong without being a second cell.
IDENTITY_LEFT, MISFIT = (0.02, 0.1, 0.3), 0.15
ROUNDS = 30
# Cells before CAR-T that make a comparison of the programme, genes that it takes, and expected UMIs
# from which a gene counts.
MIN_PAST, MIN_GENES, MIN_EXPECTED = 20, 8, 2.0


@dataclass(frozen=True)
class LostIdentity:
    """Candidates of a patient's libraries, one after the other; arrays are (n_candidates,).

    Attributes
    ----------
    library
        Number of each candidate's library.
    index
        Number of the candidate in its library.
    ig_clone
        The immunoglobulin clone that suits it best, -1 of a tumour told by its arms.
    log_odds
        Of the clone against everything else that the cell may be.
    segments, private, profile
        What immunoglobulin, the clone's own arms and genes, and the whole profile say.
    probability
        That the cell is of the clone.
    """

    library: np.ndarray
    index: np.ndarray
    lineage: np.ndarray
    ig_clone: np.ndarray
    log_odds: np.ndarray
    segments: np.ndarray
    private: np.ndarray
    profile: np.ndarray
    probability: np.ndarray

    def found(self, probability: float) -> np.ndarray:
        """Return (n_candidates,) bool: who is brought back."""
        return self.probability >= probability


def find_lost_identity(
    libraries: Sequence[PlasmaLibrary],
    used: Sequence[PlasmaLibrary],
    symbols: np.ndarray,
    cells: PatientCells,
    malignancy: Malignancy,
    *,
    evaluable: bool,
    floor: float,
    cn_settings: CopyNumberSettings,
    settings: CloneSettings,
) -> LostIdentity:
    """Return what each candidate's counts say of its being a cell of the patient's clone.

    Parameters
    ----------
    libraries, used
        The patient's libraries over all genes (`symbols`) and over the panel's.
    cells, malignancy
        Its plasma cells over the panel's genes, and what was called.
    """
    whose = [
        (i, k)
        for i, library in enumerate(libraries)
        if library.candidates is not None
        for k in range(len(library.candidates.barcodes))
    ]
    number, index = np.array(whose, dtype=int).reshape(-1, 2).T
    lineage = np.concatenate(
        [np.array([], dtype=object)]
        + [lib.candidates.lineage for lib in libraries if lib.candidates is not None]
    )
    nothing = np.full(len(number), -np.inf)
    best = {"log_odds": nothing, "segments": nothing, "private": nothing, "profile": nothing}
    ig_clone = np.full(len(number), -1)
    malignant = malignancy.malignancy == "malignant"
    # Sorted plasma cells alone do not show what is theirs and what is every cell's.
    evaluable = evaluable and bool(malignancy.panel.background.sum())
    for clone in sorted(set(malignancy.ig_clone[malignant])):
        own = malignant & (malignancy.ig_clone == clone)
        if not evaluable or own.sum() < settings.min_plasma_cells:
            continue
        ratio = programme_ratio(
            cells,
            own,
            malignancy.panel,
            floor=floor,
            cn_settings=cn_settings,
            private_share=settings.private_share,
        )
        told = _clone_evidence(
            libraries,
            used,
            symbols,
            cells,
            malignancy,
            clone=int(clone),
            own=own,
            ratio=ratio,
            settings=settings,
        )
        better = told["log_odds"] > best["log_odds"]
        ig_clone[better] = clone
        best = {name: np.where(better, told[name], best[name]) for name in best}
    probability = _posterior(best["log_odds"], number, lineage, settings.lost_identity_prior)
    return LostIdentity(number, index, lineage, ig_clone, probability=probability, **best)


def _clone_evidence(
    libraries: Sequence[PlasmaLibrary],
    used: Sequence[PlasmaLibrary],
    symbols: np.ndarray,
    cells: PatientCells,
    malignancy: Malignancy,
    *,
    clone: int,
    own: np.ndarray,
    ratio: np.ndarray,
    settings: CloneSettings,
) -> dict[str, np.ndarray]:
    """Return each candidate's log-odds of one immunoglobulin clone, by kind of evidence and all."""
    panel, told = malignancy.panel, []
    by_library = [own[cells.library == i] for i in range(len(libraries))]
    model = None
    if clone >= 0:
        model = segment_model(
            malignancy.ig_clones[clone],
            symbols,
            panel.pooled_usage(),
            [
                (lib.counts[here], lib.ambient_umi[here], lib.ambient)
                for lib, here in zip(libraries, by_library, strict=True)
            ],
        )
    normal, own_shares = cells.normal(panel.rates()), cells.normal(_own_rates(cells, own, panel))
    outside = _no_identity(panel)
    for i, (library, over) in enumerate(zip(libraries, used, strict=True)):
        candidates = library.candidates
        if candidates is None or not len(candidates.barcodes):
            continue
        segments = np.zeros(len(candidates.barcodes))
        if model is not None:
            segments = segment_log_odds(
                model,
                candidates.counts,
                ambient_umi=candidates.ambient_umi,
                ambient=library.ambient,
                lineage=candidates.lineage,
            )
        segments = np.clip(segments, -settings.max_log_odds, MOST_SEGMENTS)
        private, profile, doublet = _expression(
            over, normal[i], own_shares[i], cells.effects[i], ratio, outside=outside, panel=panel
        )
        private = np.clip(private, -settings.max_log_odds, settings.max_log_odds)
        profile = np.clip(profile, -MOST_PROFILE, MOST_PROFILE)
        doublet = np.clip(doublet, -MOST_PROFILE, MOST_PROFILE)
        # Against a cell of an unknown type, a cell of a known type, and a doublet with the clone,
        # which has its immunoglobulin too.
        against = [-(segments + private), -(segments + profile), -doublet]
        told.append(
            {
                "log_odds": -special.logsumexp(against, axis=0),
                "segments": segments,
                "private": private,
                "profile": np.minimum(profile, doublet),
            }
        )
    names = ("log_odds", "segments", "private", "profile")
    return {name: np.concatenate([one[name] for one in told] + [np.array([])]) for name in names}


def _own_rates(cells: PatientCells, own: np.ndarray, panel: Panel) -> np.ndarray:
    """Return (n_genes,) rates of the clone's plasma cells, pulled towards normal ones."""
    seen, exposure, _ = cells.pooled(own)
    expected = exposure * panel.rates()
    expected *= seen.sum() / max(expected.sum(), 1e-12)
    return panel.rates() * (seen + PULL_UMI) / (expected + PULL_UMI)


def _no_identity(panel: Panel) -> np.ndarray:
    """Return (n_genes,) bool: genes that plasma cells do not show far beyond all other types."""
    others = panel.background.mean(axis=0) if len(panel.types) else np.zeros(len(panel.gene_ids))
    return panel.rates() <= IDENTITY_FOLD * (others + LEAST_RATE)


def _expression(
    library: PlasmaLibrary,
    normal: np.ndarray,
    own: np.ndarray,
    effect: np.ndarray,
    ratio: np.ndarray,
    *,
    outside: np.ndarray,
    panel: Panel,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return log-odds of the clone by its private score, against known types, against doublets.

    Parameters
    ----------
    library
        Over the panel's genes.
    normal, own, effect
        (n_genes,) shares of a normal plasma cell and of the clone's in this library, and the
        library's factors.
    ratio
        (n_genes,) log-ratios of the clone against normal plasma cells.
    outside
        (n_genes,) bool, genes that are not a plasma cell's identity.
    """
    candidates = library.candidates
    totals = np.maximum(np.asarray(candidates.counts.sum(axis=1), dtype=float).ravel(), 1.0)
    soup = _shares(library.ambient)
    ambient = candidates.ambient_umi * library.ambient.sum() / totals
    types = [_shares(rates) for rates in _type_rates(library, effect, panel)]
    plasma, clone = _shares(normal), _shares(normal * np.exp(ratio))
    private, profile, doublet = np.zeros((3, len(totals)))
    place = np.argmin(np.abs(np.array(AMBIENT_SHARES)[:, None] - ambient), axis=0)
    for k, share in enumerate(AMBIENT_SHARES):
        here = np.flatnonzero(place == k)
        if not len(here):
            continue

        def mixed(rates: np.ndarray, share: float = share) -> np.ndarray:
            return (1 - share) * rates + share * soup

        shown = candidates.counts[here]
        private[here] = _private_odds(
            shown[:, np.flatnonzero(outside)],
            *(_shares(mixed(rates)[outside]) for rates in (plasma, clone)),
            [_shares(mixed(rates)[outside]) for rates in types],
        )
        lost = [_shares(np.where(outside, own, left * own)) for left in IDENTITY_LEFT]
        lost += [(1 - MISFIT) * one + MISFIT * kind for one in lost for kind in types]
        alone = [soup, *types, *(0.5 * kind + 0.5 * soup for kind in types)]
        alone += [(1 - MISFIT) * kind + MISFIT * own for kind in types]
        both = [(1 - part) * own + part * kind for kind in types for part in SECOND_SHARES]
        fits = [
            _fit(shown, totals[here], np.array([mixed(one) for one in kinds]), mixed(own))
            for kinds in (lost, alone, both)
        ]
        profile[here], doublet[here] = fits[0] - fits[1], fits[0] - fits[2]
    return private, profile, doublet


def _private_odds(
    counts: sparse.csr_matrix,
    plasma: np.ndarray,
    clone: np.ndarray,
    types: Sequence[np.ndarray],
) -> np.ndarray:
    """Return log-odds of the clone's own arms and genes against a cell of an unknown type.

    The score runs from a normal plasma cell (0) to the clone (1). Where an unrelated type lies on
    it is chance: the library's own types tell how far.
    """
    totals = np.maximum(np.asarray(counts.sum(axis=1), dtype=float).ravel(), 1.0)
    wide = 1 + CELL_VARIANCE * np.median(totals) * plasma
    gain = np.log(np.maximum(clone, 1e-12) / np.maximum(plasma, 1e-12)) / wide
    gap = float((clone - plasma) @ gain)
    if gap <= 0:
        return np.zeros(len(totals))
    zero = float(plasma @ gain)
    at = (counts @ gain / totals - zero) / gap
    sd = np.sqrt(plasma @ (gain**2 * wide) / totals) / gap
    elsewhere = np.array([(float(one @ gain) - zero) / gap for one in types])
    spread = max(float(np.sqrt(np.mean(elsewhere**2))) if len(elsewhere) else 0, LEAST_TYPE_SPREAD)
    other, own = np.hypot(sd, spread), np.hypot(sd, STATE_SPREAD)
    odds = t_log_density((at - 1) / own, TAIL_DF) - np.log(own)
    odds -= t_log_density(at / other, TAIL_DF) - np.log(other)
    return np.where((at > 1) & (odds < 0), 0.0, odds)


def _fit(
    counts: sparse.csr_matrix, totals: np.ndarray, shares: np.ndarray, usual: np.ndarray
) -> np.ndarray:
    """Return (n_cells,) log-likelihood of the best of some profiles (n_profiles, n_genes).

    Poisson; a gene weighs less where cells vary in it beyond chance, alike in all profiles.
    """
    weight = 1 / (1 + CELL_VARIANCE * np.median(totals) * usual)
    shares = np.maximum(shares, 1e-9)
    found = counts @ (weight * np.log(shares)).T - np.outer(totals, shares @ weight)
    return found.max(axis=1)


def _type_rates(library: PlasmaLibrary, effect: np.ndarray, panel: Panel) -> list[np.ndarray]:
    """Return the rates of the other cell types here: the panel's, and the library's own beside."""
    known = dict(zip(panel.types, panel.background, strict=True))
    rates = []
    for kind in sorted({*known, *library.background}):
        prior = known.get(kind)
        own = np.zeros(len(effect))
        if kind in library.background:
            soup = library.background_ambient[kind] * library.ambient
            own = np.maximum(library.background[kind] - soup, 0.0)
        if prior is None or not prior.sum():
            prior = np.mean(list(known.values()), axis=0) if known else np.ones(len(effect))
        expected = _shares(prior * effect)
        rates.append((own + PRIOR_UMI * expected) / (own.sum() + PRIOR_UMI))
    return rates


def _shares(rates: np.ndarray) -> np.ndarray:
    return rates / max(float(rates.sum()), 1e-300)


def _posterior(
    log_odds: np.ndarray, library: np.ndarray, lineage: np.ndarray, prior: float
) -> np.ndarray:
    """Return probabilities, the clone's share learned among each library's cells of a lineage.

    It starts at `prior`, which counts as much as one cell of the clone among 1 / `prior`.
    """
    result = np.zeros(len(log_odds))
    for number in np.unique(library):
        for name in np.unique(lineage.astype(str)):
            here = (library == number) & (lineage.astype(str) == name)
            share = prior
            for _ in range(ROUNDS if here.any() else 0):
                odds = log_odds[here] + np.log(share / (1 - share))
                result[here] = special.expit(odds)
                share = (result[here].sum() + 1) / (here.sum() + 1 / prior)
    return result


def clones_of_lost(
    used: Sequence[PlasmaLibrary],
    cells: PatientCells,
    malignancy: Malignancy,
    clones: Sequence[Clone],
    lost: LostIdentity,
    *,
    chosen: np.ndarray,
    cn_settings: CopyNumberSettings,
    settings: CloneSettings,
) -> np.ndarray:
    """Return (n_chosen, n_clones) probabilities that brought-back cells are of each clone.

    Subclones of an immunoglobulin clone compete as among plasma cells, each contrasted with the
    largest, by the genes that are not a plasma cell's identity. How common they are is read from
    the library's malignant plasma cells.
    """
    result = np.zeros((len(chosen), len(clones)))
    kept = np.flatnonzero(_no_identity(malignancy.panel))
    first = len(cells.library)
    everyone = with_candidates(used, cells, lost, chosen)
    own = everyone.subset(np.arange(first, first + len(chosen))).over(kept)
    nobody = np.zeros(len(chosen), dtype=bool)
    for ig_clone in np.unique(lost.ig_clone[chosen]):
        here = np.flatnonzero(lost.ig_clone[chosen] == ig_clone)
        suits = [k for k, clone in enumerate(clones) if clone.ig_clone == ig_clone]
        suits.sort(key=lambda k: -len(clones[k].cells))
        odds = np.zeros((len(here), len(suits)))
        for place, k in enumerate(suits):
            sizes = np.bincount(cells.library[clones[k].cells], minlength=cells.n_libraries)
            odds[:, place] = np.log(sizes[own.library[here]] + 0.5)
            if not place:
                continue
            pair = np.concatenate([clones[suits[0]].cells, clones[k].cells])
            ratio, rates = group_contrast(
                cells.subset(pair).over(kept),
                np.isin(pair, clones[k].cells),
                cn_settings=cn_settings,
                settings=settings,
            )
            told = contrast_cells(
                own,
                own.normal(rates),
                ratio,
                known_first=nobody,
                known_second=nobody,
                limit=settings.max_log_odds,
            )
            odds[:, place] += told.log_odds[here]
        share = special.softmax(odds, axis=1)
        result[np.ix_(here, suits)] = lost.probability[chosen[here]][:, None] * share
    return result


def with_candidates(
    used: Sequence[PlasmaLibrary], cells: PatientCells, lost: LostIdentity, chosen: np.ndarray
) -> PatientCells:
    """Return the patient's cells with the brought-back ones after them."""
    counts, shares = [cells.counts], [cells.ambient_share]
    for candidate in chosen:
        library, at = used[int(lost.library[candidate])], int(lost.index[candidate])
        row = library.candidates.counts[[at]]
        total = max(float(row.sum()), 1.0)
        soup = float(library.candidates.ambient_umi[at] * library.ambient.sum())
        counts.append(row)
        shares.append(np.clip([soup / total], 0.0, 0.8))
    return replace(
        cells,
        counts=sparse.vstack(counts, format="csr"),
        library=np.concatenate([cells.library, lost.library[chosen]]),
        ambient_share=np.concatenate(shares),
    )


@dataclass(frozen=True)
class IdentityRatio:
    """How much of a plasma cell's programme a group shows, against its past or normal cells."""

    ratio: float
    low: float
    high: float
    n_genes: int
    reference: str


def identity_ratio(
    cells: PatientCells,
    group: np.ndarray,
    past: np.ndarray,
    panel: Panel,
    markers: np.ndarray,
) -> IdentityRatio | None:
    """Return what is left of the plasma-cell programme in a group of cells.

    The genes are the markers of plasma cells that normal ones show `IDENTITY_FOLD` times beyond
    other types; antigens that statements are made of are not among them. The genes that are
    nobody's identity set the scale.

    Parameters
    ----------
    group, past
        (n_cells,) bool: the cells in question, and those of before CAR-T to compare with; where
        there are fewer than `MIN_PAST` the panel's normal plasma cells serve.
    markers
        (n_genes,) bool, markers of plasma cells.
    """
    outside = _no_identity(panel)
    own, exposure, variance = cells.pooled(group)
    if past.sum() >= MIN_PAST:
        seen, then, past_variance = cells.pooled(past)
        rates = (seen + 0.5) / np.maximum(then, 1e-12)
        variance = variance + past_variance + 1 / (seen + 0.5)
        reference = "pre_treatment_clone"
    else:
        rates, variance = panel.rates(), variance + reference_variance(panel)
        reference = "normal_plasma_cells"
    expected = exposure * rates
    expected *= own[outside].sum() / max(float(expected[outside].sum()), 1e-12)
    genes = markers & ~outside & (expected >= MIN_EXPECTED)
    if genes.sum() < MIN_GENES:
        return None
    ratio, error = robust_ratio(own[genes], expected[genes], variance[genes])
    reach = float(special.stdtrit(genes.sum() - 1, 0.975)) * error
    left = np.exp([ratio, ratio - reach, ratio + reach]).tolist()
    return IdentityRatio(*left, int(genes.sum()), reference)


def plasma_markers(symbols: np.ndarray) -> np.ndarray:
    """Return (n_genes,) bool: what the table of markers names for plasma cells."""
    rows = read_tsv(MARKER_TABLE).to_dict("records")
    named = {
        symbol
        for row in rows
        if row["lineage"] == "Plasma" and row["level"] != "off"
        for symbol in row["symbol"].split("+")
    }
    return np.array([str(symbol) in named for symbol in symbols], dtype=bool)
