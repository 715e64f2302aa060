"""One latent space over libraries: scVI trained on a sketch of the cells, all cells encoded."""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from relapsescope.atlas.settings import IntegrationSettings
from relapsescope.statistics.principal_axes import leading_axes, of_one_sign
from relapsescope.vocabulary import ON_GPU

BATCH_NORM_EPSILON = 1e-3  # scvi-tools' FCLayers


@dataclass(frozen=True)
class Encoder:
    """The way from counts to latent coordinates: linear layers with ReLU between, in numpy.

    Attributes
    ----------
    weights, offsets
        Of each layer, (n_in, n_out) and (n_out,) float32; the last one gives the latent mean.
    kind
        ``scVI``: the counts' log(1 + x) go in. ``PCA``: log(1 + 10,000 x / total) goes in.
    """

    weights: tuple[np.ndarray, ...]
    offsets: tuple[np.ndarray, ...]
    kind: str

    def encode(self, counts: sparse.csr_matrix, total_counts: np.ndarray) -> np.ndarray:
        """Return the latent coordinates (n_cells, n_latent) of counts (n_cells, n_genes)."""
        latent = np.empty((counts.shape[0], self.weights[-1].shape[1]), dtype=np.float32)
        for start in range(0, counts.shape[0], 4096):
            rows = slice(start, start + 4096)
            block = counts[rows].astype(np.float32)
            if self.kind == "PCA":
                block = log_normalised(block, total_counts[rows])
            else:
                block.data = np.log1p(block.data)
            hidden = block @ self.weights[0] + self.offsets[0]
            for weight, offset in zip(self.weights[1:], self.offsets[1:], strict=True):
                hidden = np.maximum(hidden, 0) @ weight + offset
            latent[rows] = hidden
        return latent


@dataclass(frozen=True)
class Integration:
    """The latent space and all that made it.

    Attributes
    ----------
    latent
        (n_cells, n_latent) float32.
    unintegrated
        (n_cells, n_components) float32, principal components of the same genes.
    encoder
        Gives `latent`.
    state
        The trained network's parameters by scvi-tools' names; empty without scVI.
    libraries
        The libraries in the order of the network's batch categories.
    note
        What a reader of the report must know, empty where scVI was trained as configured.
    """

    latent: np.ndarray
    unintegrated: np.ndarray
    encoder: Encoder
    state: dict[str, np.ndarray]
    libraries: tuple[str, ...]
    note: str


def integrate(
    counts: sparse.csr_matrix,
    total_counts: np.ndarray,
    library: np.ndarray,
    group: np.ndarray,
    *,
    settings: IntegrationSettings,
    seed: int,
    accelerator: str = "cpu",
) -> Integration:
    """Return the integrated and the unintegrated embedding of the cells.

    Parameters
    ----------
    counts
        (n_cells, n_genes) counts of the selected genes.
    total_counts
        (n_cells,) counts of all genes.
    library, group
        (n_cells,) library and cell type; the sketch is drawn evenly from their combinations.
    accelerator
        ``cpu``, or ``gpu``: a GPU where there is one.

    Notes
    -----
    scVI: Lopez et al. 2018 (Nature Methods 15:1053), with the library as batch and a negative
    binomial likelihood. Cohorts under `settings.min_cells` cells get principal components instead.
    The number of steps is fixed: the ELBO still falls where label conservation does too, so early
    stopping would overshoot.
    """
    random = np.random.default_rng(seed)
    libraries, code = np.unique(np.asarray(library, dtype=str), return_inverse=True)
    components = principal_components(
        counts, total_counts, n_components=settings.n_components, seed=seed
    )
    unintegrated = components.encode(counts, total_counts)
    if len(code) < settings.min_cells:
        return Integration(
            latent=unintegrated,
            unintegrated=unintegrated,
            encoder=components,
            state={},
            libraries=tuple(libraries),
            note=f"{len(code)} cells are too few to train scVI (under {settings.min_cells}): "
            "the map shows principal components, libraries are not integrated",
        )
    sketch = draw_sketch(code, group, size=settings.sketch_cells, random=random)
    # A cell without a count of a selected gene has no library size to scale to.
    sketch = sketch[np.asarray(counts[sketch].sum(axis=1)).ravel() > 0]
    sketch = sketch[: trainable(len(sketch), settings.batch_size)]
    device, device_note = usable_accelerator(accelerator)
    state = train_scvi(
        counts[sketch],
        libraries[code[sketch]],
        settings=settings,
        seed=seed,
        accelerator=device,
    )
    notes = [device_note, "" if len(libraries) > 1 else "one library: nothing to integrate"]
    encoder = scvi_encoder(state, settings.n_layers)
    return Integration(
        latent=encoder.encode(counts, total_counts),
        unintegrated=unintegrated,
        encoder=encoder,
        state=state,
        libraries=tuple(libraries),
        note="; ".join(filter(None, notes)),
    )


def trainable(n_cells: int, batch_size: int) -> int:
    """Return how many of `n_cells` fill batches of two cells and more.

    Batch normalisation has no spread of a single cell, and torch ends the training for it: the
    last batch of one cell is left out.
    """
    return n_cells - 1 if n_cells % batch_size == 1 else n_cells


def usable_accelerator(wanted: str) -> tuple[str, str]:
    """Return where scVI trains, ``cpu`` or ``gpu``, and what a reader of its results must know.

    One configuration serves machines with a GPU and without: where torch sees none, the CPU is
    used and the note says so.
    """
    if wanted != "gpu":
        return "cpu", ""
    import torch

    if torch.cuda.is_available():
        return "gpu", f"{ON_GPU} ({torch.cuda.get_device_name()})"
    return "cpu", "no GPU was found where one was wanted: scVI was trained on the CPU"


def log_normalised(counts: sparse.csr_matrix, total_counts: np.ndarray) -> sparse.csr_matrix:
    """Return log(1 + 10,000 x / total) of counts (n_cells, n_genes), float32."""
    values = counts.data.astype(np.float32)
    factor = (1e4 / np.maximum(total_counts, 1)).astype(np.float32)
    values *= np.repeat(factor, np.diff(counts.indptr))
    np.log1p(values, out=values)
    # The index arrays are those of `counts`: a copy would be as large as the values.
    return sparse.csr_matrix((values, counts.indices, counts.indptr), shape=counts.shape)


def principal_components(
    counts: sparse.csr_matrix, total_counts: np.ndarray, *, n_components: int, seed: int
) -> Encoder:
    """Return the projection on principal components of log-normalised counts.

    Its axes are `statistics.principal_axes.leading_axes`.
    """
    X = log_normalised(counts, total_counts)
    n_cells, n_genes = X.shape
    mean = np.asarray(X.mean(axis=0), dtype=np.float32).ravel()
    n_components = max(1, min(n_components, n_cells - 1, n_genes))
    random = np.random.default_rng(seed)
    axes = of_one_sign(leading_axes(X, mean, n_components, random, dtype=np.float64))
    weight = axes.astype(np.float32)
    return Encoder((weight,), (-(mean @ weight),), "PCA")


def draw_sketch(
    library: np.ndarray, group: np.ndarray, *, size: int, random: np.random.Generator
) -> np.ndarray:
    """Return sorted indices of at most `size` cells, evenly from library (codes) × group.

    Small combinations are taken whole and large ones are cut to one common number, so that rare
    cell types and small libraries are seen by the model as often as they can be.
    """
    n_cells = len(library)
    if n_cells <= size:
        return np.arange(n_cells)
    pair = np.unique(
        np.stack([library.astype(str), group.astype(str)]), axis=1, return_inverse=True
    )
    stratum = pair[1].ravel()
    # A random place within its stratum for each cell: taking the lowest places is drawing evenly.
    shuffled = random.permutation(n_cells)
    order = shuffled[np.argsort(stratum[shuffled], kind="stable")]
    sizes = np.bincount(stratum)
    place = np.empty(n_cells, dtype=np.int64)
    place[order] = np.arange(n_cells) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(shuffled[np.argsort(place[shuffled], kind="stable")[:size]])


def train_scvi(
    counts: sparse.csr_matrix,
    library: np.ndarray,
    *,
    settings: IntegrationSettings,
    seed: int,
    accelerator: str = "cpu",
) -> dict[str, np.ndarray]:
    """Return the trained network's parameters by scvi-tools' names.

    Parameters
    ----------
    counts
        (n_cells, n_genes); every cell has a count.
    library
        (n_cells,) names.
    """
    with quiet_scvi():
        import anndata
        import pandas as pd
        import scvi
        import torch
    # One thread: the order of additions must not depend on the machine, and spinning threads cost
    # more than they bring.
    torch.set_num_threads(1)
    names = pd.Index(np.arange(counts.shape[0]).astype(str))
    cells = anndata.AnnData(
        counts.astype(np.float32), obs=pd.DataFrame({"library": library.astype(str)}, index=names)
    )
    with quiet_scvi(), deterministic(torch):
        scvi.settings.seed = seed
        scvi.model.SCVI.setup_anndata(cells, batch_key="library")
        model = scvi.model.SCVI(
            cells,
            n_hidden=settings.n_hidden,
            n_latent=settings.n_latent,
            n_layers=settings.n_layers,
            gene_likelihood="nb",
        )
        model.train(
            max_steps=settings.steps,
            max_epochs=settings.steps,  # never reached: an epoch is a step or more
            batch_size=settings.batch_size,
            train_size=1.0,
            accelerator=accelerator,
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            plan_kwargs={
                "lr": settings.learning_rate,
                # Half of the training to full strength: the latent space forms before it is bound.
                "n_epochs_kl_warmup": None,
                "n_steps_kl_warmup": max(1, settings.steps // 2),
            },
        )
    return {name: value.cpu().numpy() for name, value in model.module.state_dict().items()}


def scvi_encoder(state: dict[str, np.ndarray], n_layers: int) -> Encoder:
    """Return the encoder of a trained network, batch normalisation folded into its layers."""
    weights, offsets = [], []
    for layer in range(n_layers):
        name = f"z_encoder.encoder.fc_layers.Layer {layer}"
        scale = state[f"{name}.1.weight"] / np.sqrt(
            state[f"{name}.1.running_var"] + BATCH_NORM_EPSILON
        )
        weights.append((state[f"{name}.0.weight"] * scale[:, None]).T)
        offsets.append(
            (state[f"{name}.0.bias"] - state[f"{name}.1.running_mean"]) * scale
            + state[f"{name}.1.bias"]
        )
    weights.append(state["z_encoder.mean_encoder.weight"].T)
    offsets.append(state["z_encoder.mean_encoder.bias"])
    return Encoder(
        tuple(np.ascontiguousarray(w, dtype=np.float32) for w in weights),
        tuple(o.astype(np.float32) for o in offsets),
        "scVI",
    )


@contextlib.contextmanager
def quiet_scvi() -> Iterator[None]:
    """Let scvi-tools be imported without the notices and warnings of what it imports in turn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.getLogger("scvi").setLevel(logging.ERROR)


@contextlib.contextmanager
def deterministic(torch) -> Iterator[None]:
    """Let torch use one order of additions only, for the block."""
    # Read by cuBLAS when the first handle is made; without it the next line refuses GPUs.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
