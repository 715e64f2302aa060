"""The cohort's atlas from what the libraries' jobs wrote, to the files of `results/atlas`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from relapsescope.atlas.bundle import Bundle, Reference, save_bundle
from relapsescope.atlas.gene_selection import GeneSelection, select_genes
from relapsescope.atlas.graph import (
    Neighbours,
    find_neighbours,
    fuzzy_graph,
    leiden_clusters,
    umap_layout,
)
from relapsescope.atlas.integration import (
    Encoder,
    Integration,
    draw_sketch,
    integrate,
    log_normalised,
)
from relapsescope.atlas.library_cells import LibraryCells, read_counts_of, read_libraries
from relapsescope.atlas.markers import rank_markers
from relapsescope.atlas.quality import DESCRIPTIONS, integration_table
from relapsescope.atlas.settings import AtlasSettings
from relapsescope.intake.gene_space import shared_genes
from relapsescope.settings import settings_of
from relapsescope.tables import write_parquet, write_tsv

GENE_COLUMNS = (
    "gene_id",
    "symbol",
    "selected",
    "rank",
    "n_libraries",
    "median_rank",
    "left_out",
)
INTEGRATION_COLUMNS = ("measure", "embedding", "value", "n_cells", "description")
MARKER_COLUMNS = ("leiden", "symbol", "gene_id", "log2_fold_change", "score", "rank")


def build_atlas(
    *,
    counts_paths: Sequence[str | Path],
    cells_paths: Sequence[str | Path],
    genes_paths: Sequence[str | Path],
    summary_paths: Sequence[str | Path],
    outputs: Mapping[str, str | Path],
    settings: Mapping[str, Any],
    seed: int,
) -> None:
    """Write the atlas of the immune compartment: embedding, latent space, genes, markers, bundle.

    Parameters
    ----------
    counts_paths, cells_paths, genes_paths, summary_paths
        The files of each library's job, in one order.
    outputs
        Paths by `embedding`, `latent`, `genes`, `integration`, `markers`, `bundle` (a folder).
    settings
        The configuration's section `atlas`.
    """
    chosen = settings_of(AtlasSettings, settings, name="atlas")
    libraries = read_libraries(counts_paths, cells_paths, genes_paths, summary_paths)
    if not libraries:
        write_empty(outputs, dict(settings))
        return
    selection = select_genes(
        {library.sample_id: library.genes for library in libraries},
        n_genes=chosen.n_genes,
        min_cells=chosen.min_cells_to_vote,
    )
    cells = immune_map(libraries, selection.gene_ids, settings=chosen, seed=seed)
    write_genes(Path(outputs["genes"]), selection)
    quality = measure(
        cells.integration, cells.neighbours, cells.sample_id, cells.cell_type, seed=seed
    )
    write_tsv(Path(outputs["integration"]), INTEGRATION_COLUMNS, quality)
    markers = find_markers(libraries, cells.leiden, chosen, seed=seed)
    write_tsv(Path(outputs["markers"]), MARKER_COLUMNS, markers)
    keys = {"sample_id": cells.sample_id, "barcode": cells.barcode}
    places = {"umap_1": cells.coordinates[:, 0], "umap_2": cells.coordinates[:, 1]}
    write_parquet(Path(outputs["embedding"]), {**keys, **places, "leiden": cells.clusters})
    latent = cells.integration.latent.T
    write_parquet(
        Path(outputs["latent"]),
        {**keys, **{f"latent_{i + 1}": column for i, column in enumerate(latent)}},
    )
    methods = [cells.integration.note, f"neighbours: {cells.neighbours.method}"]
    bundle = Bundle(
        encoder=cells.integration.encoder,
        state=cells.integration.state,
        gene_ids=selection.gene_ids,
        symbols=selection.symbols,
        libraries=cells.integration.libraries,
        reference=cells.reference(chosen.reference_cells, seed=seed),
        novelty_distance=novelty_distance(cells.neighbours),
        settings={**settings, "seed": seed},
        notes=tuple(filter(None, methods)),
    )
    save_bundle(Path(outputs["bundle"]), bundle)


@dataclass(frozen=True)
class ImmuneMap:
    """The map of the cohort's immune cells; arrays are (n_cells,), coordinates (n_cells, 2)."""

    sample_id: np.ndarray
    barcode: np.ndarray
    cell_type: np.ndarray
    integration: Integration
    neighbours: Neighbours
    leiden: np.ndarray
    coordinates: np.ndarray

    @property
    def clusters(self) -> np.ndarray:
        """(n_cells,) names of the clusters."""
        return self.leiden.astype(str).astype(object)

    def reference(self, size: int, *, seed: int) -> Reference:
        """Return the cells that new samples are placed among, evenly from library and type."""
        chosen = draw_sketch(
            np.unique(self.sample_id.astype(str), return_inverse=True)[1],
            self.cell_type,
            size=size,
            random=np.random.default_rng(seed),
        )
        kept = self.integration.latent, self.coordinates, self.cell_type
        return Reference(*(column[chosen] for column in (*kept, self.clusters, self.sample_id)))


def immune_map(
    libraries: Sequence[LibraryCells],
    gene_ids: np.ndarray,
    *,
    settings: AtlasSettings,
    seed: int,
) -> ImmuneMap:
    """Return the libraries' cells integrated on these genes, clustered and laid out."""
    cell_type = np.concatenate([library.cell_type for library in libraries])
    names = np.array([library.sample_id for library in libraries], dtype=object)
    sample_id = np.repeat(names, [len(library.rows) for library in libraries])
    integration = integrate(
        read_counts_of(libraries, gene_ids),
        np.concatenate([library.total_counts for library in libraries]),
        sample_id,
        cell_type,
        settings=settings.integration,
        seed=seed,
        accelerator=settings.accelerator,
    )
    neighbours = find_neighbours(
        integration.latent,
        n_neighbours=settings.n_neighbours,
        exact_below=settings.exact_neighbours_below,
        min_recall=settings.min_neighbour_recall,
        seed=seed,
    )
    graph = fuzzy_graph(neighbours)
    leiden = leiden_clusters(graph, resolution=settings.resolution, seed=seed)
    coordinates = umap_layout(
        integration.latent,
        graph,
        max_cells=settings.layout_cells,
        n_neighbours=settings.n_neighbours,
        seed=seed,
    )
    barcode = np.concatenate([library.barcodes for library in libraries])
    return ImmuneMap(sample_id, barcode, cell_type, integration, neighbours, leiden, coordinates)


def measure(
    integration: Integration,
    neighbours: Neighbours,
    sample_id: np.ndarray,
    cell_type: np.ndarray,
    *,
    seed: int,
) -> list[dict]:
    """Return rows of `integration.tsv`: both embeddings' quality, and the graph's recall."""
    rows = integration_table(
        {"unintegrated": integration.unintegrated, "integrated": integration.latent},
        sample_id,
        cell_type,
        seed=seed,
    )
    rows.append(
        {
            "measure": "neighbour_recall",
            "embedding": "integrated",
            "value": neighbours.recall,
            "n_cells": len(sample_id),
            "description": f"Share of true nearest neighbours found ({neighbours.method})",
        }
    )
    if integration.note:
        rows.append(
            {
                "measure": "note",
                "embedding": "integrated",
                "value": None,
                "n_cells": len(sample_id),
                "description": integration.note,
            }
        )
    return rows


def find_markers(
    libraries: Sequence[LibraryCells], leiden: np.ndarray, settings: AtlasSettings, *, seed: int
) -> list[dict]:
    """Return rows of `markers.tsv`, from a sample of the cells where there are very many.

    All genes that the libraries share are tested, so that a marker outside the selected genes is
    found too.
    """
    gene_ids = shared_genes(
        [library.genes.gene_ids for library in libraries],
        names=[library.sample_id for library in libraries],
    )
    symbol_of = dict(zip(libraries[0].genes.gene_ids, libraries[0].genes.symbols, strict=True))
    sample = draw_sketch(
        leiden, leiden, size=settings.marker_cells, random=np.random.default_rng(seed)
    )
    sizes = np.array([len(library.rows) for library in libraries])
    starts = np.cumsum(sizes) - sizes
    rows = [
        library.rows[sample[(sample >= start) & (sample < start + size)] - start]
        for library, start, size in zip(libraries, starts, sizes, strict=True)
    ]
    total_counts = np.concatenate([library.total_counts for library in libraries])[sample]
    # Nothing but the last form stays in memory.
    by_gene = log_normalised(read_counts_of(libraries, gene_ids, rows), total_counts).tocsc()
    return rank_markers(
        by_gene,
        leiden[sample],
        gene_ids,
        np.array([symbol_of[gene] for gene in gene_ids], dtype=object),
        n_markers=settings.n_markers,
    )


def novelty_distance(neighbours: Neighbours) -> float:
    """Return the 99th percentile of the cells' mean distance to their neighbours."""
    if not neighbours.distances.size:
        return 0.0
    return float(np.quantile(neighbours.distances.mean(axis=1), 0.99))


def write_genes(path: Path, selection: GeneSelection) -> None:
    """Write `genes.tsv`."""
    table = selection.table
    rows = [
        {
            "gene_id": table["gene_id"][i],
            "symbol": table["symbol"][i],
            "selected": "true" if table["selected"][i] else "false",
            "rank": int(table["rank"][i]) if table["selected"][i] else None,
            "n_libraries": int(table["n_libraries"][i]),
            "median_rank": table["median_rank"][i],
            "left_out": table["left_out"][i],
        }
        for i in range(len(table["gene_id"]))
    ]
    write_tsv(path, GENE_COLUMNS, rows)


def write_empty(outputs: Mapping[str, str | Path], settings: dict[str, Any]) -> None:
    """Write the atlas of a cohort without immune cells: every file, no cell."""
    nothing = np.array([], dtype=object)
    no_number = np.array([], dtype=np.float32)
    no_rows = np.empty((0, 2), dtype=np.float32)
    note = "no immune cell passed QC: there is no atlas"
    keys = {"sample_id": nothing, "barcode": nothing}
    write_parquet(
        Path(outputs["embedding"]),
        {**keys, "umap_1": no_number, "umap_2": no_number, "leiden": nothing},
    )
    write_parquet(Path(outputs["latent"]), keys)
    write_tsv(Path(outputs["genes"]), GENE_COLUMNS, [])
    rows = [
        {"measure": name, "embedding": embedding, "n_cells": 0, "description": text}
        for embedding in ("unintegrated", "integrated")
        for name, text in DESCRIPTIONS.items()
    ]
    rows.append({"measure": "note", "embedding": "integrated", "n_cells": 0, "description": note})
    write_tsv(Path(outputs["integration"]), INTEGRATION_COLUMNS, rows)
    write_tsv(Path(outputs["markers"]), MARKER_COLUMNS, [])
    save_bundle(
        Path(outputs["bundle"]),
        Bundle(
            encoder=Encoder((), (), "none"),
            state={},
            gene_ids=nothing,
            symbols=nothing,
            libraries=(),
            reference=Reference(no_rows, no_rows, nothing, nothing, nothing),
            novelty_distance=0.0,
            settings=settings,
            notes=(note,),
        ),
    )
