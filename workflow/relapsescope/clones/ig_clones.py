"""Clones by their immunoglobulin: V genes that are far too frequent, and who carries them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from relapsescope.clones.immunoglobulin import AMBIGUOUS, KAPPA, LAMBDA, Immunoglobulin
from relapsescope.clones.settings import ImmunoglobulinSettings
from relapsescope.statistics.distributions import binomial_above

# Share of the cells beside a first clone that a second one must make up: a dominant V gene by the
# rule of the re-analysis of GSE223060 (half of the cells with a V gene).
REST_SHARE = 0.5


@dataclass(frozen=True)
class Usage:
    """How often normal plasma cells use each light-chain class and gene (panel and prior).

    Attributes
    ----------
    counts
        Symbol (or class) to normal cells seen with it, by segment.
    """

    counts: dict[str, dict[str, int]]

    def share(self, segment: str, symbol: str, *, within: str = "") -> float:
        """Return the expected share of `symbol` among normal cells called for `segment`.

        The panel is small, so a prior of 10 cells is spread over what repertoires show: no
        gene is expected under 2 % (at most a fifteenth of the prior) or over 40 %.
        """
        known = self.counts.get(segment, {})
        chosen = {k: v for k, v in known.items() if k.startswith(within)}
        prior = {"light_chain": {KAPPA: 0.6, LAMBDA: 0.4}}.get(segment, {}).get(symbol, 1 / 15)
        prior = 0.25 if segment == "heavy" else prior
        share = (chosen.get(symbol, 0) + 10 * prior) / (sum(chosen.values()) + 10)
        return float(np.clip(share, 0.02, 0.75 if segment == "light_chain" else 0.4))


@dataclass(frozen=True)
class IgClone:
    """A clone by its immunoglobulin: a light chain and V gene that normal cells rarely share.

    `v_gene` is None where V genes are hardly seen (3' chemistry) and the class alone tells.
    """

    light_chain: str
    v_gene: str | None
    heavy_v: str | None
    heavy: str | None
    n_cells: int
    share: float
    enrichment: float
    p_value: float
    fidelity: dict[str, float] = field(default_factory=dict)


def usage_of(calls: Sequence[Immunoglobulin]) -> Usage:
    """Return how often the cells of `calls` (normal ones) use each class and gene."""
    counts: dict[str, dict[str, int]] = {}
    for segment in ("light_chain", "light_v", "heavy_v", "heavy"):
        values = [value for call in calls for value in getattr(call, segment)]
        kept = sorted(value for value in values if value not in (None, AMBIGUOUS))
        counts[segment] = {value: kept.count(value) for value in dict.fromkeys(kept)}
    return Usage(counts)


def find_ig_clones(
    light_chain: np.ndarray,
    light_v: np.ndarray,
    heavy_v: np.ndarray,
    heavy: np.ndarray,
    *,
    usage: Usage,
    settings: ImmunoglobulinSettings,
    groups: np.ndarray | None = None,
) -> list[IgClone]:
    """Return the immunoglobulin clones of one patient, the largest first.

    A V gene marks a clone when it is far more frequent among the cells with a called V gene of
    its class than the background: by `clone_enrichment`, by a binomial test against twice
    the background share (repertoires differ between people), and in at least `clone_share`
    of the cells. Cells of a found clone are set aside and the search repeated, so biclonal
    disease gives two (the second is asked for more); each of `groups` (libraries) is searched
    too, so that a clone that is there only at relapse is found.
    """
    groups = np.zeros(len(light_v), dtype=int) if groups is None else groups
    everywhere = np.ones(len(light_v), dtype=bool)
    found: dict[tuple[str, str], IgClone] = {}
    for chosen in [everywhere, *(groups == name for name in sorted(set(groups)))]:
        left = chosen & np.array([value is not None for value in light_v], dtype=bool)
        share = settings.clone_share
        while (
            clone := _top_clone(
                light_chain, light_v, left, usage, least_share=share, settings=settings
            )
        ) is not None:
            # Few cells are left beside a clone, and chance makes one gene frequent among few.
            share = max(share, REST_SHARE)
            key = (clone.light_chain, clone.v_gene)
            members = left & (light_v == clone.v_gene)
            left &= ~members
            if key not in found:
                found[key] = _with_heavy(clone, heavy_v[members], heavy[members])
    if not found and (clone := _class_clone(light_chain, light_v, usage, settings)) is not None:
        members = light_chain == clone.light_chain
        found[(clone.light_chain, "")] = _with_heavy(clone, heavy_v[members], heavy[members])
    values = {"light_chain": light_chain, "light_v": light_v, "heavy_v": heavy_v, "heavy": heavy}
    clones = [
        replace(clone, fidelity=clone_fidelity(values, clone, settings=settings))
        for clone in found.values()
    ]
    return sorted(clones, key=lambda clone: (-clone.n_cells, clone.v_gene or ""))


def clone_fidelity(
    values: Mapping[str, np.ndarray], clone: IgClone, *, settings: ImmunoglobulinSettings
) -> dict[str, float]:
    """Return, by segment, the share of the clone's cells whose called segment is the clone's.

    Read from the cells that agree with the clone in two other segments, and `fidelity` with
    the weight of 20 cells.
    """
    wanted = {
        "light_chain": clone.light_chain,
        "light_v": clone.v_gene,
        "heavy_v": clone.heavy_v,
        "heavy": clone.heavy,
    }
    agree = {name: _equal(values[name], gene) for name, gene in wanted.items()}
    result = {}
    for name, gene in wanted.items():
        others = [agree[other] for other in wanted if other != name and wanted[other]]
        # The light-chain class follows from the V gene and is no second witness of it.
        if name in ("light_chain", "light_v"):
            others = [agree[other] for other in ("heavy_v", "heavy") if wanted[other]]
        known = np.array([v is not None and v != AMBIGUOUS for v in values[name]], dtype=bool)
        members = known & (np.sum(others, axis=0) >= 2) if len(others) >= 2 else known & False
        hits = float(_equal(values[name], gene)[members].sum())
        result[name] = (hits + 20 * settings.fidelity) / (float(members.sum()) + 20)
    return result


def _equal(values: np.ndarray, wanted: str | None) -> np.ndarray:
    return np.array([value is not None and value == wanted for value in values], dtype=bool)


def _top_clone(
    light_chain: np.ndarray,
    light_v: np.ndarray,
    left: np.ndarray,
    usage: Usage,
    *,
    least_share: float,
    settings: ImmunoglobulinSettings,
) -> IgClone | None:
    """Return the most frequent light V gene among `left` as a clone, None if it marks none."""
    genes, sizes = np.unique(light_v[left].astype(str), return_counts=True)
    best: IgClone | None = None
    for gene, size in zip(genes, sizes, strict=True):
        family = gene[:3]
        chain = KAPPA if family == "IGK" else LAMBDA
        # Where the constant region says the other class, the V gene is from a doublet or soup.
        agree = left & (light_v == gene) & (light_chain != (LAMBDA if chain == KAPPA else KAPPA))
        size, total = int(agree.sum()), int(left.sum())
        background = usage.share("light_v", gene, within=family)
        background *= usage.share("light_chain", chain)
        share = size / total
        p_value = float(binomial_above(size - 1, total, min(2 * background, 0.5))) * len(genes)
        if (
            size >= settings.min_clone_cells
            and share >= least_share
            and share >= settings.clone_enrichment * background
            and p_value <= settings.clone_p
            and (best is None or size > best.n_cells)
        ):
            best = IgClone(chain, gene, None, None, size, share, share / background, p_value)
    return best


def _class_clone(
    light_chain: np.ndarray, light_v: np.ndarray, usage: Usage, settings: ImmunoglobulinSettings
) -> IgClone | None:
    """Return a clone by light-chain class alone, where too few cells show a V gene to ask it."""
    called = np.array([value in (KAPPA, LAMBDA) for value in light_chain], dtype=bool)
    with_v = called & np.array([value is not None for value in light_v], dtype=bool)
    total = int(called.sum())
    if total < settings.min_clone_cells or with_v.sum() > 0.3 * total:
        return None
    for chain in (KAPPA, LAMBDA):
        size = int((light_chain == chain).sum())
        background = usage.share("light_chain", chain)
        # Healthy donors' class shares vary beyond chance: the test is against the odds' double.
        shifted = 2 * background / (1 + background)
        p_value = float(binomial_above(size - 1, total, shifted))
        if size / total >= settings.class_clone_share and p_value <= settings.clone_p:
            share = size / total
            return IgClone(chain, None, None, None, size, share, share / background, p_value)
    return None


def _with_heavy(clone: IgClone, heavy_v: np.ndarray, heavy: np.ndarray) -> IgClone:
    """Return the clone with the heavy chain that most of its cells show, None where none does."""

    def dominant(values: np.ndarray) -> str | None:
        called = [value for value in values if value is not None]
        if len(called) < 5:
            return None
        names, sizes = np.unique(np.array(called, dtype=str), return_counts=True)
        return str(names[sizes.argmax()]) if sizes.max() >= 0.6 * len(called) else None

    return replace(clone, heavy_v=dominant(heavy_v), heavy=dominant(heavy))


def ig_log_odds(
    light_chain: np.ndarray,
    light_v: np.ndarray,
    heavy_v: np.ndarray,
    heavy: np.ndarray,
    clone: IgClone,
    *,
    usage: Usage,
    settings: ImmunoglobulinSettings,
) -> np.ndarray:
    """Return (n_cells,) log-odds of belonging to `clone` against being a normal plasma cell.

    A segment that was not called says nothing. The constant heavy chain counts less, because
    subclasses are alike; how much a segment that differs counts is `clone_fidelity`'s answer.
    """
    total = np.zeros(len(light_v))
    terms = (
        ("light_chain", light_chain, clone.light_chain, "", 1.0),
        ("light_v", light_v, clone.v_gene, (clone.v_gene or "")[:3], 1.0),
        ("heavy_v", heavy_v, clone.heavy_v, "", 1.0),
        ("heavy", heavy, clone.heavy, "", 0.5),
    )
    for segment, values, wanted, within, weight in terms:
        if wanted is None:
            continue
        background = usage.share(segment, wanted, within=within)
        fidelity = clone.fidelity.get(segment, settings.fidelity)
        called = np.array([v is not None and v != AMBIGUOUS for v in values], dtype=bool)
        same = called & (values == wanted)
        total[same] += weight * np.log(fidelity / background)
        total[called & ~same] += weight * np.log((1 - fidelity) / (1 - background))
    return np.clip(total, -settings.max_log_odds, settings.max_log_odds)
