"""Themis: run LLM evaluations, keep every record, compare honestly.

``from themis import evaluate`` is the whole of it for most; see :func:`themis.evaluation.evaluate`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from themis.evaluation import evaluate

__version__ = "0.1.0"

__all__ = ["__version__", "evaluate"]


def __getattr__(name: str) -> Any:
    if name != "evaluate":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from themis.evaluation import evaluate

    globals()["evaluate"] = evaluate
    return evaluate
