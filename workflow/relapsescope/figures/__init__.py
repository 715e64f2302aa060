"""Figures: every panel has its numbers in a CSV and is drawn from that CSV alone."""
