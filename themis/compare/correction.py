"""Many tests at once: the more there are, the more of them look remarkable by chance."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjusted p values, in the same order; ``None`` was no test and stays so.

    The step-down method of Holm (1979, Scand. J. Statist. 6:65): the smallest of m times m, the next times
    m-1 and so on, never falling. It bounds the chance of any false alarm in the whole family, however the
    tests depend on each other.
    """
    # That of statsmodels collects garbage at each call, which stops an app of many objects for a moment.
    tested = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, place) in enumerate(tested):
        highest = max(highest, min(1.0, (len(tested) - rank) * p))
        adjusted[place] = highest
    return adjusted
