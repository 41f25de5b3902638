"""Keywords that a stranger's method may not know."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def accepted(method: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    """Those of ``options`` that ``method`` takes by name or by ``**kwargs``."""
    try:
        parameters = inspect.signature(method).parameters
    except (TypeError, ValueError):
        return {}
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values()):
        return options
    return {name: value for name, value in options.items() if name in parameters}
