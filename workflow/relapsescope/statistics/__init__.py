"""Rates, intervals, shares, effects and variation of libraries: one home for each."""
