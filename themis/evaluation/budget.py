"""Limits after which a run pauses."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from themis.core.errors import UsageError
from themis.evaluation.aggregate import RunAggregate

KINDS = ("tokens", "cost", "seconds")


def over_budget(budget: dict[str, float] | None) -> Callable[[RunAggregate], str | None] | None:
    """A check that gives the reason to pause once a limit is reached; ``None`` without limits.

    ``tokens`` counts input and output, ``cost`` is in the run's currency, ``seconds`` are of this session.
    Raises :class:`UsageError` for other kinds.
    """
    if not budget:
        return None
    for kind, limit in budget.items():
        number = isinstance(limit, (int, float)) and not isinstance(limit, bool)
        if kind not in KINDS or not number or not 0 < limit < math.inf:
            raise UsageError(f"budget {kind}={limit!r}: a budget is {', '.join(KINDS)}, each more than 0.")
    started = time.monotonic()

    def check(aggregate: RunAggregate) -> str | None:
        usage = aggregate.usage
        spent: dict[str, float | None] = {
            "tokens": usage.get("input_tokens", 0) + usage.get("output_tokens", 0),
            "cost": aggregate.cost,
            "seconds": time.monotonic() - started,
        }
        for kind, limit in budget.items():
            used = spent[kind]
            if used is not None and used >= limit:
                return f"budget: {kind} {used:g} of {limit:g}"
        return None

    return check
