"""The promises of :class:`themis.backends.StorageBackend` as tests: a class to derive from."""

from __future__ import annotations

from themis.testing.storage.crashes import Crashes
from themis.testing.storage.currency import Currency
from themis.testing.storage.life import Life
from themis.testing.storage.listing import Listing
from themis.testing.storage.notes import Notes
from themis.testing.storage.refusals import Refusals
from themis.testing.storage.round_trips import RoundTrips
from themis.testing.storage.writers import Writers

__all__ = ["StorageBackendSuite"]


class StorageBackendSuite(RoundTrips, Currency, Refusals, Listing, Writers, Crashes, Notes, Life):
    """Every promise of a store. Derive from it, and write ``make``; see :mod:`themis.testing`.

    Switches, all class attributes: ``shared_between_processes``, ``eleven_methods_only``,
    ``holds_any_text``, ``runs_listed``, ``large_text``; what they mean stands in
    :class:`themis.testing.storage.place.StoragePlace`.
    """
