"""Records that wait on this machine for their store: what ended processes left is sent."""

from __future__ import annotations

from contextlib import suppress

from themis.backends.storage.journal import Kept, SetAside
from themis.backends.storage.journalled import JournalledStorage, Sent
from themis.core.errors import RunHeld, RunNotFound, UsageError
from themis.runs.annotations import run_held
from themis.runs.catalog import Store
from themis.runs.watch import look


def kept(store: Store, run_id: str | None = None) -> list[Kept]:
    """What has not been sent to a store yet, of one run or of all; nothing for one that keeps no journal."""
    found = store.backend.kept() if isinstance(store.backend, JournalledStorage) else []
    return [each for each in found if run_id is None or each.run_id == run_id]


def set_aside(store: Store) -> list[SetAside]:
    """Records that a store will not take, kept on this machine; none for one that keeps no journal."""
    return store.backend.set_aside() if isinstance(store.backend, JournalledStorage) else []


def recover(store: Store, run_id: str | None = None) -> list[Sent]:
    """Send what ended processes left on this machine, of one run or of all.

    What the metadata of such a run say of how far it is follows, unless somebody is at it; its status stays.
    A run that was deleted meanwhile is not made anew: what belongs to it is set aside. Raises
    :class:`UsageError` for a store that keeps no journal, :class:`StoreReadonly`, and what the store raises.
    """
    if not isinstance(store.backend, JournalledStorage):
        raise UsageError(
            f"The store {store.name} keeps no journal on this machine: what was saved in it is in it."
        )
    store.check_writable("sending records")
    sent = store.backend.recover(run_id)
    for each in sent:
        if each.segments:
            # Gone again, or gone on with: whoever does that says it himself.
            with suppress(RunNotFound, RunHeld):
                _recount(store, each.run_id)
    return sent


def _recount(store: Store, run_id: str) -> None:
    from themis.evaluation.recount import recounted  # most who ask what waits send nothing

    with run_held(store, look(store.backend, run_id)):
        view = look(store.backend, run_id)  # as it is now that nobody else on this host changes it
        if view.status.live or view.status.word == "completed" or view.progress is None:
            return
        metadata = recounted(store.backend, run_id, view.metadata, view.progress)
        store.backend.save_run_metadata(run_id, metadata)
        store.backend.flush()
