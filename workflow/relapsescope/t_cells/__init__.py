"""CAR-T cells and other T cells: detection, state, receptors, persistence."""
