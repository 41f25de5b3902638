"""Records that wait on this machine for their store: what ended processes left is sent."""

from __future__ import annotations

from themis.backends.storage.journal import Kept, SetAside
from themis.backends.storage.journalled import JournalledStorage, Sent
from themis.core.errors import UsageError
from themis.runs.catalog import Store


def kept(store: Store, run_id: str | None = None) -> list[Kept]:
    """What has not been sent to a store yet, of one run or of all; nothing for one that keeps no journal."""
    found = store.backend.kept() if isinstance(store.backend, JournalledStorage) else []
    return [each for each in found if run_id is None or each.run_id == run_id]


def set_aside(store: Store) -> list[SetAside]:
    """Records that a store will not take, kept on this machine; none for one that keeps no journal."""
    return store.backend.set_aside() if isinstance(store.backend, JournalledStorage) else []


def recover(store: Store, run_id: str | None = None) -> list[Sent]:
    """Send what ended processes left on this machine, of one run or of all.

    A run that was deleted meanwhile is not made anew: what belongs to it is set aside. Raises
    :class:`UsageError` for a store that keeps no journal, :class:`StoreReadonly`, and what the store raises.
    """
    if not isinstance(store.backend, JournalledStorage):
        raise UsageError(
            f"The store {store.name} keeps no journal on this machine: what was saved in it is in it."
        )
    store.check_writable("sending records")
    return store.backend.recover(run_id)
