"""Time to event: endpoints, curves, Cox models, bulk cohorts."""
