"""Logic with "unknown": answers are True, False or None, and None never turns into True."""

# Decimal lab values are not exact in binary: 2.3 - 1.8 must count as 0.5.
ROUNDING = 1e-9


def every(*answers: bool | None) -> bool | None:
    """Return the three-valued AND: False if any is False, else None if any is unknown."""
    if any(answer is False for answer in answers):
        return False
    return None if any(answer is None for answer in answers) else True


def some(*answers: bool | None) -> bool | None:
    """Return the three-valued OR: True if any is True, else None if any is unknown."""
    if any(answer is True for answer in answers):
        return True
    return None if any(answer is None for answer in answers) else False


def negated(answer: bool | None) -> bool | None:
    """Return the three-valued NOT."""
    return None if answer is None else not answer


def at_least(value: float | None, threshold: float) -> bool | None:
    """Return whether a value reaches a threshold, allowing for binary rounding."""
    return None if value is None else value >= threshold - ROUNDING


def above(value: float | None, threshold: float) -> bool | None:
    """Return whether a value exceeds a threshold, allowing for binary rounding."""
    return None if value is None else value > threshold + ROUNDING


def below(value: float | None, threshold: float) -> bool | None:
    """Return whether a value stays under a threshold, allowing for binary rounding."""
    return negated(at_least(value, threshold))
