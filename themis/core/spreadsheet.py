"""Cells of tables that a spreadsheet may open."""

from __future__ import annotations

import json
import sys
from typing import Any

from themis.core.safe_text import safe_text

_FORMULA = ("=", "+", "-", "@")
"""A cell that begins so is run as a formula by spreadsheets."""


def cell(value: Any) -> Any:
    """A value as a spreadsheet may have it: numbers as they are, texts harmless and never a formula."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = safe_text(value if isinstance(value, str) else _to_json(value), sys.maxsize)
    # Spreadsheets pass over blanks before a formula.
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text


def _to_json(value: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False)
    except (ValueError, TypeError):
        return json.dumps(value, default=str)
