"""Public cohorts: what lies where, how it is fetched, and how a deposit becomes a sample sheet."""
