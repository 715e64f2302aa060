"""The map of the immune compartment: genes, integration, graph, markers, and the saved bundle."""
