"""Writing count matrices as Cell Ranger 3 and later does."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from scipy import sparse


def write_tenx(
    path: Path,
    counts: sparse.csr_matrix,
    *,
    barcodes: np.ndarray,
    feature_ids: np.ndarray,
    feature_names: np.ndarray,
    library: str,
    n_antibodies: int = 0,
) -> None:
    """Write (n_barcodes, n_features) counts as a 10x ``.h5``; the same counts, the same bytes.

    Parameters
    ----------
    path
        The file to write.
    counts
        Integers, canonical.
    barcodes, feature_ids, feature_names
        Text, (n_barcodes,), (n_features,), (n_features,).
    library
        Kept in the attribute ``library_ids``.
    n_antibodies
        How many of the last features are antibodies.
    """
    n = len(feature_ids)
    with h5py.File(path, "w", track_order=False) as file:
        file.attrs["chemistry_description"] = "10x 3' v3"
        file.attrs["filetype"] = "matrix"
        file.attrs["library_ids"] = np.array([library.encode()])
        file.attrs["software_version"] = "relapsescope-simulate"
        file.attrs["version"] = np.int64(2)
        matrix = file.create_group("matrix")
        features = matrix.create_group("features")

        def put(group: h5py.Group, name: str, values: np.ndarray) -> None:
            if values.dtype.kind in "OU":
                values = np.array([str(v).encode() for v in values], dtype=bytes)
            group.create_dataset(
                name, data=values, compression="gzip", compression_opts=4, shuffle=True,
                track_times=False,
            )  # fmt: skip

        put(matrix, "barcodes", barcodes)
        put(matrix, "data", counts.data.astype(np.int32))
        put(matrix, "indices", counts.indices.astype(np.int64))
        put(matrix, "indptr", counts.indptr.astype(np.int64))
        put(matrix, "shape", np.array(counts.shape[::-1], dtype=np.int32))
        put(features, "id", feature_ids)
        put(features, "name", feature_names)
        types = ["Gene Expression"] * (n - n_antibodies) + ["Antibody Capture"] * n_antibodies
        put(features, "feature_type", np.array(types))
        put(features, "genome", np.full(n, "GRCh38"))
        put(features, "_all_tag_keys", np.array([b"genome"]))
