"""The promises of :class:`themis.backends.ExecutionBackend` as tests: a class to derive from."""

from __future__ import annotations

from themis.testing.execution.company import Company
from themis.testing.execution.deadlines import Deadlines
from themis.testing.execution.failures import Failures
from themis.testing.execution.items import Items
from themis.testing.execution.stopping import Stopping
from themis.testing.execution.surroundings import Surroundings

__all__ = ["ExecutionBackendSuite"]


class ExecutionBackendSuite(Items, Company, Failures, Deadlines, Stopping, Surroundings):
    """Every promise of an executor of Themis's own. Derive from it, and write ``make``.

    Switches, all class attributes: ``in_process``, ``parallel``, ``most_ahead``, ``items_in_memory``; what
    they mean stands in :class:`themis.testing.execution.place.ExecutionPlace`. Of an executor that is not
    Themis's own the library relies on less: see :class:`themis.backends.ExecutionBackend`.
    """
