"""Results that others check: expected tables, comparison, RO-Crate."""
