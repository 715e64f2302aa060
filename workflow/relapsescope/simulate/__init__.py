"""The demo cohort: simulated marrows with known truth, written as a user's data would arrive."""

from relapsescope.simulate.cohort import simulate_cohort
from relapsescope.simulate.plan import CohortPlan, check_plan, compose_plan, read_plan

__all__ = ["CohortPlan", "check_plan", "compose_plan", "read_plan", "simulate_cohort"]
