"""CAR-T cells: detection, persistence, division, exhaustion."""
