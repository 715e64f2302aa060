"""What else changed in the relapse clone: genes and gene sets against the tumour before."""
