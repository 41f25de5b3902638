"""What people say of a run: its name, tags, notes, and whether it is pinned.

:func:`edit` changes several of them at once, as a form does, and nothing that another changed meanwhile.
Every change leaves a line of who and when in the document's ``audit``. Where the store keeps annotations
apart (:class:`themis.backends.Annotations`) a change is made anew on what another saved meanwhile; elsewhere
they lie in the metadata, which belong to the runner, and those of a live run cannot be edited.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from themis.backends.storage.annotations import NEVER_SAVED, Annotations, annotations_in
from themis.backends.storage.base import StorageBackend
from themis.core.entities import SCHEMA_VERSION
from themis.core.errors import Conflict, RunHeld, RunNotFound, StoreCorrupt, ThemisError, UsageError
from themis.core.safe_text import storable
from themis.evaluation.hold import held, lock_path
from themis.evaluation.host import host_name, user_name
from themis.evaluation.surroundings import lock_name
from themis.runs.catalog import Store
from themis.runs.status import Status
from themis.runs.watch import RunView, look

MOST_NAME, MOST_TAG, MOST_NOTES = 200, 60, 20_000
"""Characters."""
MOST_TAGS = 50
MOST_AUDIT = 100
"""Lines kept, the latest."""
GIVEN_UP_S = 86_400.0
TRIES = 50
"""How often another may be faster before a change is given up."""

Change = Callable[[dict[str, Any]], str | None]
"""Changes a run's annotations in place and returns what was done, in words; ``None`` leaves all as it was."""


def annotations_of(backend: StorageBackend, run_id: str) -> dict[str, Any]:
    """The annotations of a run, ``{}`` if it has none. Raises :class:`RunNotFound`."""
    return annotations_in(backend, run_id, look(backend, run_id).metadata)


def annotate(store: Store, run_id: str, change: Change, *, holding: bool = False) -> dict[str, Any]:
    """Change a run's annotations; returns them as they are then. ``holding``: within :func:`run_held`.

    Raises:
        StoreReadonly: The user's profile says so.
        RunNotFound: There is no such run.
        RunHeld: The store keeps annotations in the metadata, and the run is live.
        Conflict: Others were faster, again and again.
    """
    store.check_writable("annotating runs")
    if isinstance(store.backend, Annotations):
        return _annotated_apart(store.backend, store.backend, run_id, change)
    if holding:
        return _annotated_within(store, run_id, change)
    with run_held(store, look(store.backend, run_id)):
        return _annotated_within(store, run_id, change)


class Said(NamedTuple):
    """What a form shows of a run's annotations, and what it gives back."""

    name: str = ""
    tags: tuple[str, ...] = ()
    notes: str = ""


def said_in(notes: dict[str, Any]) -> Said:
    """What stands in a run's annotations, whatever else somebody stored there."""
    name, text = notes.get("name"), notes.get("notes")
    return Said(
        name if isinstance(name, str) else "", tuple(tags_of(notes)), text if isinstance(text, str) else ""
    )


class Edited(NamedTuple):
    """One change of a form: what :func:`take_back` takes back."""

    run_id: str
    before: Said
    after: Said


class Edits(NamedTuple):
    """What became of several."""

    edited: list[Edited]
    refused: dict[str, ThemisError]
    """Run id to why it stays as it was."""


def editable(store: Store, run_id: str) -> Said:
    """What is said of a run whose annotations may be changed now. Raises as :func:`annotate` would."""
    store.check_writable("annotating runs")
    apart = isinstance(store.backend, Annotations)
    view = seen(store.backend, run_id) if apart else look(store.backend, run_id)
    if not apart:
        _check_at_rest(store, view)
    return said_in(annotations_in(store.backend, run_id, view.metadata))


def edit(store: Store, run_id: str, before: Said, after: Said) -> Said:
    """Make of what was said ``before`` what is said ``after``; returns what is said then.

    Only what differs between the two is changed. Tags that another added or took away meanwhile stay so.
    The same call with both exchanged takes it back.

    Raises:
        UsageError: A name, tag or note that cannot be one.
        Conflict: Another changed the same name or notes since ``before``.
        ThemisError: As :func:`annotate`.
    """
    name = _line(after.name, "A name", MOST_NAME) if after.name != before.name else before.name
    text = _checked_notes(after.notes) if after.notes != before.notes else before.notes
    added = [checked_tag(tag) for tag in after.tags if tag not in before.tags]
    removed = [tag for tag in before.tags if tag not in after.tags]

    def change(notes: dict[str, Any]) -> str | None:
        now, did = said_in(notes), []
        for field, was, wanted in (("name", before.name, name), ("notes", before.notes, text)):
            found = getattr(now, field)
            if wanted == was or found == wanted:
                continue
            if found != was:
                raise Conflict(f"{_who_said(notes)} changed the {field} of {run_id} meanwhile. Look again.")
            did.append(_set(notes, field, wanted or None, f"changed its {field}"))
        did.append(_retag(notes, run_id, added, removed))
        return ", ".join(each for each in did if each) or None

    return said_in(annotate(store, run_id, change))


def tag_runs(
    store: Store, run_ids: Iterable[str], *, add: Iterable[str] = (), remove: Iterable[str] = ()
) -> Edits:
    """Add tags to runs and take tags away, one by one; one that is refused keeps no other from it.

    Raises :class:`StoreReadonly`, and :class:`UsageError` for what cannot be a tag.
    """
    store.check_writable("annotating runs")
    added, removed = [checked_tag(each) for each in add], set(remove)
    done = Edits([], {})
    for run_id in dict.fromkeys(run_ids):
        try:
            before = editable(store, run_id)
            kept = (tag for tag in before.tags if tag not in removed)
            after = before._replace(tags=tuple(dict.fromkeys([*kept, *added])))
            if after != before:
                edit(store, run_id, before, after)
                done.edited.append(Edited(run_id, before, after))
        except ThemisError as exc:
            done.refused[run_id] = exc
    store.backend.flush()
    return done


def take_back(store: Store, edits: Iterable[Edited]) -> Edits:
    """Undo changes of a form; says which, and which could not be and why."""
    done = Edits([], {})
    for each in edits:
        try:
            edit(store, each.run_id, each.after, each.before)
            done.edited.append(each)
        except ThemisError as exc:
            done.refused[each.run_id] = exc
    store.backend.flush()
    return done


def set_name(store: Store, run_id: str, name: str) -> dict[str, Any]:
    """Give a run a name for people; an empty one takes it away. Raises as :func:`annotate`."""
    cleaned = _line(name, "A name", MOST_NAME)

    def change(notes: dict[str, Any]) -> str | None:
        return _set(
            notes, "name", cleaned or None, f"named it {cleaned!r}" if cleaned else "took its name away"
        )

    return annotate(store, run_id, change)


def set_notes(store: Store, run_id: str, text: str) -> dict[str, Any]:
    """Replace a run's notes; an empty text takes them away. Raises as :func:`annotate`."""
    cleaned = _checked_notes(text)

    def change(notes: dict[str, Any]) -> str | None:
        return _set(notes, "notes", cleaned or None, "wrote notes" if cleaned else "took the notes away")

    return annotate(store, run_id, change)


def set_pinned(store: Store, run_id: str, pinned: bool) -> dict[str, Any]:
    """Pin a run, or let it go. Raises as :func:`annotate`."""

    def change(notes: dict[str, Any]) -> str | None:
        return _set(notes, "pinned", pinned or None, "pinned it" if pinned else "unpinned it")

    return annotate(store, run_id, change)


def change_tags(
    store: Store, run_id: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()
) -> dict[str, Any]:
    """Add tags to a run, and take tags away. Raises as :func:`annotate`."""
    added, removed = [checked_tag(each) for each in add], [checked_tag(each) for each in remove]

    both = sorted(set(added).intersection(removed))
    if both:
        raise UsageError(f"The tag {both[0]!r} is to be added and to be taken away; which is it?")

    return annotate(store, run_id, lambda notes: _retag(notes, run_id, added, removed))


def tags_of(notes: dict[str, Any]) -> list[str]:
    """The tags in a run's annotations, whatever else somebody stored there."""
    tags = notes.get("tags")
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []


def checked_tag(tag: str) -> str:
    """``tag`` made storable. Raises :class:`UsageError` with the rule for tags."""
    cleaned = storable(tag)
    spaced = any(each.isspace() for each in cleaned)
    if not 0 < len(cleaned) <= MOST_TAG or spaced or cleaned[0] in "+-":
        raise UsageError(
            f"{tag!r:.100} cannot be a tag. A tag has 1 to {MOST_TAG} characters, no spaces, and neither "
            "plus nor dash at its start."
        )
    return cleaned


def person() -> str:
    """Who is at work here, for an audit: ``user@host``."""
    return storable(f"{user_name()}@{host_name()}")


def seen(backend: StorageBackend, run_id: str) -> RunView:
    """As :func:`look`, also at a run whose metadata are damaged: ``unreadable``, with none.

    Raises :class:`RunNotFound` if there is no such run.
    """
    try:
        return look(backend, run_id)
    except StoreCorrupt as exc:
        return RunView(run_id, {}, None, Status("unreadable", storable(str(exc))))


def is_live(view: RunView) -> bool:
    """Whether somebody may be working on the run.

    One that gave no sign for a day is given up: else what died on another host could never be cleared away.
    """
    if view.status.word not in ("no signal", "queued"):
        return view.status.live
    beat = view.metadata.get("heartbeat")
    signs = [beat.get("at") if isinstance(beat, dict) else None, view.metadata.get("updated_at")]
    times = [each for each in signs if isinstance(each, (int, float))]
    return not times or time.time() - max(times) < GIVEN_UP_S


@contextmanager
def run_held(store: Store, view: RunView, *also: tuple[str, str]) -> Iterator[None]:
    """Keep this host from going on with a run. Raises :class:`RunHeld` if it is at it.

    ``also``: other runs to hold, by their store's name as :func:`lock_name_of` gives it, and id.
    """
    where = view.metadata.get("where")
    ran_in = where.get("storage") if isinstance(where, dict) else None
    # Of the store where it ran, and of the one it is in now, if it was moved or says something untrue.
    wanted = ((str(ran_in), view.run_id), (lock_name_of(store), view.run_id), *also)
    unique = {lock_path(*each): each for each in wanted}
    with ExitStack() as holding:
        # Always in one order, so that two who want both do not each get one.
        for path in sorted(unique):
            holding.enter_context(held(*unique[path]))
        yield


def lock_name_of(store: Store) -> str:
    """What the locks of the store's runs are known by."""
    return lock_name(store.backend, storable(repr(store.backend)))


def _annotated_apart(
    backend: StorageBackend, notes: Annotations, run_id: str, change: Change
) -> dict[str, Any]:
    for _ in range(TRIES):
        document, version = notes.load_annotations(run_id)
        if version == NEVER_SAVED:
            document = annotations_in(backend, run_id, seen(backend, run_id).metadata)
        changed = _changed(document, change)
        if changed is None:
            return document
        try:
            notes.save_annotations(run_id, changed, version)
        except Conflict:
            continue
        return changed
    raise Conflict(
        f"The annotations of {run_id} could not be changed: others were faster {TRIES} times. Try again."
    )


def _annotated_within(store: Store, run_id: str, change: Change) -> dict[str, Any]:
    backend = store.backend
    view = look(backend, run_id)
    _check_at_rest(store, view)
    document = annotations_in(backend, run_id, view.metadata)
    changed = _changed(document, change)
    if changed is None:
        return document
    metadata = {"run_id": run_id, "schema_version": SCHEMA_VERSION, **view.metadata}
    if not backend.run_exists(run_id):
        raise RunNotFound(f"{run_id}: the run was deleted meanwhile.")
    backend.save_run_metadata(run_id, {**metadata, "annotations": changed})
    return changed


def _check_at_rest(store: Store, view: RunView) -> None:
    if is_live(view):
        raise RunHeld(
            f"{view.run_id} is {view.status.word}, and the store {store.name} keeps annotations in the "
            "metadata, which only its runner may write. Wait for it, or end it first."
        )


def _changed(document: dict[str, Any], change: Change) -> dict[str, Any] | None:
    """The document after the change, with a line about it; ``None`` if nothing changed."""
    changed = dict(document)
    did = change(changed)
    if did is None:
        return None
    audit = changed.get("audit")
    lines = audit if isinstance(audit, list) else []
    line = {"at": time.time(), "by": person(), "did": storable(did)[:300]}
    changed["audit"] = [*lines, line][-MOST_AUDIT:]
    return changed


def _set(notes: dict[str, Any], field: str, value: Any, did: str) -> str | None:
    """Put a value into a field, or take the field away for ``None``; what was done, if anything."""
    if notes.get(field) == value:
        return None
    if value is None:
        del notes[field]
    else:
        notes[field] = value
    return did


def _retag(notes: dict[str, Any], run_id: str, added: Iterable[str], removed: Iterable[str]) -> str | None:
    before, gone = tags_of(notes), set(removed)
    tags = list(dict.fromkeys([*(tag for tag in before if tag not in gone), *added]))
    if len(tags) > MOST_TAGS and len(tags) > len(before):
        raise UsageError(f"A run has at most {MOST_TAGS} tags; {run_id} would have {len(tags)}.")
    if tags == before:
        return None
    words = [f"+{tag}" for tag in tags if tag not in before] + [f"-{tag}" for tag in before if tag in gone]
    return _set(notes, "tags", tags or None, f"tagged it {' '.join(words)}")


def _checked_notes(text: str) -> str:
    cleaned = storable(text).strip()
    if len(cleaned) > MOST_NOTES:
        raise UsageError(f"Notes have at most {MOST_NOTES:,} characters; these have {len(cleaned):,}.")
    return cleaned


def _who_said(notes: dict[str, Any]) -> str:
    """Who changed a run's annotations last, as far as they say."""
    audit = notes.get("audit")
    last = audit[-1] if isinstance(audit, list) and audit else None
    by = last.get("by") if isinstance(last, dict) else None
    return by[:100] if isinstance(by, str) and by else "Somebody"


def _line(text: str, what: str, most: int) -> str:
    line = " ".join(storable(text).split())
    if len(line) > most:
        raise UsageError(f"{what} has at most {most} characters; this one has {len(line):,}.")
    return line
