"""Many tests at once: the more there are, the more of them look remarkable by chance."""

from __future__ import annotations

from collections.abc import Sequence

from themis.compare.extra import needed


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjusted p values, in the same order; ``None`` was no test and stays so.

    The step-down method of Holm (1979, Scand. J. Statist. 6:65): it bounds the chance of any false alarm in
    the whole family, however the tests depend on each other.
    """
    tested = [p for p in p_values if p is not None]
    if len(tested) < 2:
        return list(p_values)
    multitest = needed("statsmodels.stats.multitest")
    adjusted = iter(multitest.multipletests(tested, method="holm")[1].tolist())
    return [None if p is None else next(adjusted) for p in p_values]
