"""One latent space over libraries: scVI trained on a sketch of the cells, all cells encoded.

The networks are scvi-tools' own. The training loop is ours: scvi-tools evaluates its likelihood on
every entry of a batch, of which nine in ten are zero, and computes the head of a dropout model that
a negative binomial does not use; the same loss costs half as much when both are left out.
"""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

BATCH_NORM_EPSILON = 1e-3  # scvi-tools' FCLayers
WEIGHT_DECAY, ADAM_EPSILON = 1e-6, 0.01  # scvi-tools' TrainingPlan


@dataclass(frozen=True)
class IntegrationSettings:
    """Sizes of the model and of its training, from the configuration's `atlas.integration`."""

    n_latent: int
    n_hidden: int
    n_layers: int
    steps: int
    batch_size: int
    learning_rate: float
    sketch_cells: int
    min_cells: int
    n_components: int


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
    loss
        Mean training loss of the last tenth of the steps, nan without scVI.
    note
        What a reader of the report must know, empty where scVI was trained as configured.
    """

    latent: np.ndarray
    unintegrated: np.ndarray
    encoder: Encoder
    state: dict[str, np.ndarray]
    libraries: tuple[str, ...]
    loss: float
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
        ``cpu`` or ``gpu``.

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
            loss=np.nan,
            note=f"{len(code)} cells are too few to train scVI (under {settings.min_cells}): "
            "the map shows principal components, libraries are not integrated",
        )
    sketch = draw_sketch(code, group, size=settings.sketch_cells, random=random)
    # A cell without a count of a selected gene has no library size to scale to.
    sketch = sketch[np.asarray(counts[sketch].sum(axis=1)).ravel() > 0]
    state, loss = train_scvi(
        counts[sketch],
        code[sketch],
        n_libraries=len(libraries),
        settings=settings,
        seed=seed,
        accelerator=accelerator,
    )
    encoder = scvi_encoder(state, settings.n_layers)
    return Integration(
        latent=encoder.encode(counts, total_counts),
        unintegrated=unintegrated,
        encoder=encoder,
        state=state,
        libraries=tuple(libraries),
        loss=loss,
        note="" if len(libraries) > 1 else "one library: nothing to integrate",
    )


def log_normalised(counts: sparse.csr_matrix, total_counts: np.ndarray) -> sparse.csr_matrix:
    """Return log(1 + 10,000 x / total) of counts (n_cells, n_genes), float32."""
    normalised = counts.astype(np.float32)
    factor = 1e4 / np.maximum(total_counts, 1)
    normalised.data *= np.repeat(factor, np.diff(counts.indptr)).astype(np.float32)
    normalised.data = np.log1p(normalised.data)
    return normalised


def principal_components(
    counts: sparse.csr_matrix, total_counts: np.ndarray, *, n_components: int, seed: int
) -> Encoder:
    """Return the projection on principal components of log-normalised counts.

    Randomised subspace iteration (Halko et al. 2011) that centres without making the matrix dense.
    """
    X = log_normalised(counts, total_counts)
    n_cells, n_genes = X.shape
    mean = np.asarray(X.mean(axis=0), dtype=np.float32).ravel()
    n_components = max(1, min(n_components, n_cells - 1, n_genes))
    width = min(n_components + 10, n_genes)
    random = np.random.default_rng(seed)
    basis = random.standard_normal((n_genes, width)).astype(np.float32)
    transposed = X.T.tocsr()
    for _ in range(5):
        basis = np.linalg.qr(basis)[0]
        scores = X @ basis - mean @ basis
        basis = transposed @ scores - np.outer(mean, scores.sum(axis=0))
    basis = np.linalg.qr(basis)[0].astype(np.float64)
    scores = X @ basis - mean @ basis
    _, rotation = np.linalg.eigh(scores.T @ scores)
    axes = basis @ rotation[:, ::-1][:, :n_components]
    axes *= np.where(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])] < 0, -1, 1)
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
    n_libraries: int,
    settings: IntegrationSettings,
    seed: int,
    accelerator: str = "cpu",
) -> tuple[dict[str, np.ndarray], float]:
    """Return the trained network's parameters and its last loss.

    Parameters
    ----------
    counts
        (n_cells, n_genes); every cell has a count.
    library
        (n_cells,) codes from 0.
    """
    with quiet_scvi():
        import torch
        from scvi.module import VAE
    # One thread: the order of additions must not depend on the machine, and spinning threads cost
    # more than they bring (performance.md, section 0).
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    device = torch.device("cuda" if accelerator == "gpu" else "cpu")
    with deterministic(torch):
        model = VAE(
            n_input=counts.shape[1],
            n_batch=n_libraries,
            n_hidden=settings.n_hidden,
            n_latent=settings.n_latent,
            n_layers=settings.n_layers,
            gene_likelihood="nb",
        ).to(device)
        used = [p for name, p in model.named_parameters() if is_used(name)]
        optimiser = torch.optim.Adam(
            used, lr=settings.learning_rate, eps=ADAM_EPSILON, weight_decay=WEIGHT_DECAY
        )
        model.train()
        losses = []
        batches = _batches(counts.shape[0], settings.batch_size, random)
        for step in range(settings.steps):
            cells = next(batches)
            block = counts[cells]
            rows = np.repeat(np.arange(len(cells)), np.diff(block.indptr))
            loss = scvi_loss(
                torch,
                model,
                torch.from_numpy(block.toarray().astype(np.float32)).to(device),
                torch.from_numpy(rows * block.shape[1] + block.indices).to(device),
                torch.from_numpy(block.data.astype(np.float32)).to(device),
                torch.from_numpy(library[cells][:, None]).to(device),
                # Half of the training to full strength: the latent space forms before it is bound.
                kl_weight=min(1.0, 2 * (step + 1) / settings.steps),
            )
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
    state = {
        name: value.detach().cpu().numpy()
        for name, value in model.state_dict().items()
        if is_used(name)
    }
    return state, float(np.mean(losses[-max(1, len(losses) // 10) :]))


def is_used(parameter: str) -> bool:
    """Return whether the loss depends on a parameter of scvi-tools' VAE with a `nb` likelihood."""
    return not parameter.startswith(("l_encoder.", "decoder.px_dropout_decoder.")) and (
        "px_r_decoder" not in parameter
    )


def scvi_loss(torch, model, x, filled, values, library, *, kl_weight: float):
    """Return the mean loss of scvi-tools' VAE, up to a constant of the data.

    Parameters
    ----------
    x
        (n_cells, n_genes) counts.
    filled, values
        Flat positions of the entries over zero in `x`, and their counts.
    library
        (n_cells, 1) codes.
    """
    posterior, latent = model.z_encoder(torch.log1p(x), library)
    hidden = model.decoder.px_decoder(latent, library)
    # px_scale_decoder ends with a softmax; its logarithm is needed, so it is taken apart.
    log_share = torch.log_softmax(model.decoder.px_scale_decoder[0](hidden), dim=-1)
    log_mean = log_share + torch.log(x.sum(dim=1, keepdim=True))
    theta = torch.exp(model.px_r)
    log_sum = torch.log(theta + torch.exp(log_mean))
    gene = filled % x.shape[1]
    # Negative binomial: an entry of zero has only the first term.
    zeros = (theta * (model.px_r - log_sum)).sum()
    theta_filled = theta[gene]
    rest = values * (log_mean.view(-1)[filled] - log_sum.view(-1)[filled])
    rest = rest + torch.lgamma(values + theta_filled) - torch.lgamma(theta_filled)
    mean, variance = posterior.loc, posterior.scale.square()
    divergence = 0.5 * (variance + mean.square() - 1 - torch.log(variance)).sum()
    return (kl_weight * divergence - zeros - rest.sum()) / x.shape[0]


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


def _batches(n_cells: int, size: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield indices of one batch after the other, every cell once before any comes again."""
    size = min(size, n_cells)
    while True:
        order = random.permutation(n_cells)
        for start in range(0, n_cells - size + 1, size):
            yield order[start : start + size]


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
