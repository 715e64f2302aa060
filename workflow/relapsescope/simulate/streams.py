"""Random numbers that depend on names, not on the order in which things are drawn."""

import hashlib

import numpy as np
from scipy.special import ndtri


def name_number(*words: object) -> int:
    """Return a 64-bit number fixed by the words (blake2b; Python's own hash is salted)."""
    text = "\x1f".join(str(word) for word in words)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def generator(seed: int, *words: object) -> np.random.Generator:
    """Return a generator of its own for the thing that `words` name.

    A library added to a plan therefore changes no other library.
    """
    return np.random.default_rng(np.random.SeedSequence([seed, name_number(*words)]))


def gene_normals(gene_ids: np.ndarray, stream: str) -> np.ndarray:
    """Return one standard normal a gene, fixed by its Ensembl ID and the stream's name.

    Parameters
    ----------
    gene_ids
        (n_genes,) Ensembl gene IDs.
    stream
        Name of the draw; another name gives independent numbers.

    Returns
    -------
    (n_genes,) float64. The numbers come from splitmix64 (Steele 2014, OOPSLA), so a gene keeps
    its value whatever other genes are simulated.
    """
    numbers = np.array([int(gene_id[4:]) for gene_id in gene_ids], dtype=np.uint64)
    with np.errstate(over="ignore"):
        z = numbers * np.uint64(0x9E3779B97F4A7C15) + np.uint64(name_number(stream))
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    uniform = ((z >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53
    return ndtri(uniform)
