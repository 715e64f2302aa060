"""The map of the immune compartment: genes, integration, graph, markers, and the saved bundle.

torch, scvi-tools, faiss, igraph and umap-learn are imported by the functions that need them.
"""
