"""Pages: one self-contained HTML file each, made from a run's tables and figures."""
