"""Evaluation: ask a model every question of a benchmark, score the answers, keep every record.

:func:`evaluate` stands in :mod:`themis.evaluation.entry`; names are looked up on first use, so that what is
small here can be used without loading all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from themis.evaluation.entry import Place, evaluate, evaluate_as

__all__ = ["Place", "evaluate", "evaluate_as"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from themis.evaluation import entry

    return getattr(entry, name)
