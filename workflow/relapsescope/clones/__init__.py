"""Which cells came back: immunoglobulin, copy number, malignant cells, clones through time."""
