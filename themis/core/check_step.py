"""One step of trying whether something works."""

from __future__ import annotations

from typing import NamedTuple


class CheckStep(NamedTuple):
    """A step of :meth:`StorageBackend.check` and :meth:`Model.check`, and how it went."""

    name: str
    ok: bool
    seconds: float
    message: str = ""
