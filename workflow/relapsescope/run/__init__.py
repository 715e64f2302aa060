"""A run: its start and configuration, what its results were made from, what its jobs ask for."""
