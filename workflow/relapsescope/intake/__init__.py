"""What comes in: the sheet, count matrices of any supported kind, genes by identity."""
