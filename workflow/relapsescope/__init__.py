"""Relapsescope: which myeloma cells came back after CAR-T, and why were they not killed?"""

__version__ = "0.1.0"
