"""Evaluation: ask a model every question of a benchmark, score the answers, keep every record.

:func:`evaluate` stands in :mod:`themis.evaluation.entry`, :func:`rescore` in
:mod:`themis.evaluation.rescoring`; names are looked up on first use, so that what is small here can be used
without loading all of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from themis.evaluation.entry import Place, evaluate, evaluate_as
    from themis.evaluation.rescoring import Rescored, RescoringPlan, plan_rescoring, rescore

_PLACES = {
    "entry": ("Place", "evaluate", "evaluate_as"),
    "rescoring": ("Rescored", "RescoringPlan", "plan_rescoring", "rescore"),
}
__all__ = ["Place", "evaluate", "evaluate_as", "Rescored", "RescoringPlan", "plan_rescoring", "rescore"]


def __getattr__(name: str) -> Any:
    place = next((place for place, names in _PLACES.items() if name in names), None)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{place}"), name)
