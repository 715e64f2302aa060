"""The map of the immune compartment: genes, integration, graph, markers, and the saved bundle.

Light to import (numpy, scipy, pyarrow), because a library's job ranks its genes from here. torch,
scvi-tools, faiss, igraph and umap-learn are imported by the functions that need them.
"""

from relapsescope.atlas.build import build_atlas

__all__ = ["build_atlas"]
