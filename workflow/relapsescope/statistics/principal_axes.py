"""Principal axes: of a sparse matrix without making it dense, and of a small dense one."""

import numpy as np
from scipy import sparse

OVERSAMPLING, ROUNDS = 10, 5


def leading_axes(
    matrix: sparse.csr_matrix,
    mean: np.ndarray,
    n_axes: int,
    random: np.random.Generator,
    *,
    dtype: type = np.float32,
) -> np.ndarray:
    """Return (n_columns, n_axes) leading axes of a centred matrix, by subspace iteration.

    Halko 2011, SIAM Review 53:217; the matrix stays sparse, the mean is taken off each product.

    Parameters
    ----------
    matrix
        (n_rows, n_columns) float32.
    mean
        (n_columns,) of the columns.
    dtype
        Precision of the last rotation.
    """
    width = min(n_axes + OVERSAMPLING, *matrix.shape)
    axes, _ = np.linalg.qr(random.standard_normal((matrix.shape[1], width)).astype(np.float32))
    transposed = matrix.T.tocsr()
    for _ in range(ROUNDS):
        scores = matrix @ axes - mean @ axes
        axes, _ = np.linalg.qr(transposed @ scores - np.outer(mean, scores.sum(axis=0)))
    axes = axes.astype(dtype)
    scores = matrix @ axes - mean @ axes
    return axes @ gram_axes(scores, n_axes)


def gram_axes(values: np.ndarray, n_axes: int) -> np.ndarray:
    """Return (n_columns, up to n_axes) principal axes of centred values, by their gram matrix."""
    return np.linalg.eigh(values.T @ values)[1][:, ::-1][:, :n_axes]


def of_one_sign(axes: np.ndarray) -> np.ndarray:
    """Return axes whose largest entries are positive: an axis's sign is arbitrary."""
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])]
    return axes * np.where(largest < 0, -1, 1)
