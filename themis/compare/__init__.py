"""Comparing runs: paired by sample, guarded, corrected, and "cannot tell" where that is so.

:func:`compare_runs` is the whole of it for most. What needs scipy (the extra ``compare``) imports
it when it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from themis.compare.comparison import Comparison
    from themis.compare.entry import compare_runs

__all__ = ["Comparison", "compare_runs"]

_PLACES = {"Comparison": "themis.compare.comparison", "compare_runs": "themis.compare.entry"}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    globals()[name] = getattr(import_module(_PLACES[name]), name)
    return globals()[name]
