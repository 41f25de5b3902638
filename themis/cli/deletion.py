"""``themis runs delete``, ``restore``, ``purge`` and ``gc``."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from typing import Any

from themis.cli import output
from themis.cli.ticker import Ticker
from themis.core.errors import RunHeld, RunNotFound, StoreUnreachable, ThemisError, UsageError
from themis.core.options import redacted
from themis.core.safe_text import safe_text
from themis.runs import exit_codes
from themis.runs.catalog import Store, find_run, open_store, split_address
from themis.runs.delete import DeletePreview, Trashed, check_may_delete, delete, preview, refusal, restore
from themis.runs.purge import expired, gc, half_purged, purge
from themis.runs.purge_log import begun_purges
from themis.runs.query import check_says_which, remarks
from themis.runs.selection import matching_runs
from themis.runs.stores import wanted_stores

MOST_CELLS = 120
_MOST_NAMED = 10
"""Runs that a command to undo names."""

Found = list[tuple[Store, str]]
Refused = dict[str, ThemisError]


def delete_runs(given: argparse.Namespace) -> int:
    """Show what would go, ask, and move it to the trash; with ``--purge`` for good."""
    if given.purge:
        return purge_runs(given, trash=False)
    found = _found(given, trash=False)
    doomed = [preview(store, run_id) for store, run_id in found]
    if given.dry_run:
        return _say_would("would_delete", doomed, _stores(found), as_json=given.json)
    _refuse_live(found, doomed)
    confirm = _asked(given, found, doomed, f"Delete {_runs(doomed)}?", " They go to the trash.")
    if confirm is None:
        return exit_codes.FAILED
    trashed, refused = _each(
        given, found, "deleting", lambda store, run_id: delete(store, run_id, confirm=confirm(store))
    )
    for store in _stores(found):
        store.backend.flush()
    if given.json:
        undo = [{"address": output.address(each.store, each.run_id), **each._asdict()} for each in trashed]
        output.say_json({"deleted": [each["address"] for each in undo], "undo": undo, **_as_object(refused)})
    else:
        before = {(each.store, each.run_id) for each in doomed if each.trashed is not None}
        for each in trashed:
            did = "was in the trash:" if (each.store, each.run_id) in before else "deleted"
            output.say(f"{did} {output.cut(output.address(each.store, each.run_id), MOST_CELLS)}")
        if trashed:
            days = output.duration(trashed[0].until - trashed[0].at)
            output.note(f"Undo: {output.pasted(_undo_command(given, trashed))}")
            output.note(f"In the trash until somebody runs 'themis runs gc', which takes it after {days}.")
    return _told(refused)


def restore_runs(given: argparse.Namespace) -> int:
    """Bring runs back from the trash."""
    found = _found(given, trash=True)
    if given.dry_run:
        doomed = [preview(*each) for each in found]
        return _say_would("would_restore", doomed, _stores(found), as_json=given.json)
    restored: list[str] = []
    untouched: list[str] = []

    def bring_back(store: Store, run_id: str) -> None:
        (restored if restore(store, run_id) else untouched).append(output.address(store.name, run_id))

    _, refused = _each(given, found, "restoring", bring_back)
    if given.json:
        output.say_json({"restored": restored, "not_in_trash": untouched, **_as_object(refused)})
    else:
        for address in restored:
            output.say(f"restored {output.cut(address, MOST_CELLS)}")
        for address in untouched:
            output.note(f"{output.cut(address, MOST_CELLS)} is not in the trash.")
    return _told(refused)


def purge_runs(given: argparse.Namespace, *, trash: bool = True) -> int:
    """Show what would go, ask, and delete it for good."""
    found = _found(given, trash=trash, purging=True)
    doomed = [_preview_or_rest(store, run_id) for store, run_id in found]
    if given.dry_run:
        return _say_would("would_purge", doomed, _stores(found), as_json=given.json)
    _refuse_live(found, doomed)
    confirm = _asked(given, found, doomed, f"Delete {_runs(doomed)} for good?", " This cannot be undone.")
    if confirm is None:
        return exit_codes.FAILED
    purged, refused = _each(
        given, found, "purging", lambda store, run_id: purge(store, run_id, confirm=confirm(store))
    )
    _say_purged([output.address(each.store, each.run_id) for each in purged], refused, as_json=given.json)
    return _told(refused)


def gc_runs(given: argparse.Namespace) -> int:
    """Delete for good what has been in the trash for its time."""
    store = open_store(given.storage)
    doomed = [_preview_or_rest(store, each.run_id) for each in expired(store)]
    if given.dry_run:
        return _say_would("would_purge", doomed, [store], as_json=given.json)
    check_may_delete(store, given.confirm)
    if not doomed:
        if given.json:
            output.say_json({"purged": [], "refused": {}})
        else:
            output.note(
                f"Nothing in the trash of {output.cut(redacted(store.name), MOST_CELLS)} has expired."
            )
        return exit_codes.DONE
    found = [(store, each.run_id) for each in doomed]
    confirm = _asked(given, found, doomed, f"Delete {_runs(doomed)} for good?", " This cannot be undone.")
    if confirm is None:
        return exit_codes.FAILED
    with closing(Ticker(as_json=given.progress == "json")) as ticker:
        done = gc(
            store,
            confirm=confirm(store),
            progress=lambda number, total: ticker.tell("purging", number, total),
        )
    refused = {output.address(store.name, run_id): exc for run_id, exc in done.refused.items()}
    addresses = [output.address(each.store, each.run_id) for each in done.purged]
    _say_purged(addresses, refused, as_json=given.json)
    return _told(refused)


def _found(given: argparse.Namespace, *, trash: bool, purging: bool = False) -> Found:
    """The runs that are meant, by address or by query."""
    if bool(given.run) == (given.query is not None):
        raise UsageError("Name runs, or give --query; one of the two.")
    if given.query is not None:
        if not given.query.strip():
            raise UsageError("An empty --query would mean every run; '*' is not one either. Say which.")
        check_says_which(given.query)
        return _matching(given, trash=trash)
    find = _found_or_half_gone if purging else find_run
    return [_by_name(find, address, given.storage) for address in dict.fromkeys(given.run)]


def _by_name(
    find: Callable[[str, str | None], tuple[Store, str]], address: str, storage: str | None
) -> tuple[Store, str]:
    try:
        return find(address, storage)
    except ThemisError as exc:
        if " " in address:  # no id has one
            exc.add_note(f"A query is given by its option: --query {shlex.quote(address)}")
        raise


def _matching(given: argparse.Namespace, *, trash: bool) -> Found:
    """Every run that ``runs list`` shows for the query; nothing may be done while some cannot be seen."""
    names = wanted_stores([given.storage] if given.storage else [])
    found = matching_runs(names, given.query, trash=trash, opener=open_store)
    if len(names) == 1 and found.failures and (only := found.failures[0].error) is not None:
        raise only
    for failure in found.failures:
        output.note(f"themis: {output.cut(redacted(failure.name), MOST_CELLS)}: {safe_text(failure.reason)}")
    silent = ", ".join(redacted(each.name) for each in found.failures)
    if len(found.failures) == len(names):
        raise StoreUnreachable(f"None of the stores could be asked: {silent}. Nothing was done.")
    if found.failures:
        raise StoreUnreachable(
            f"The query may mean runs of {silent} too, which could not be asked, so nothing was done. To do "
            f"it without, name one store: --storage {' or '.join(map(redacted, found.stores))}."
        )
    if not found.runs:
        for remark in remarks(given.query):
            output.note(output.cut(remark, 2 * MOST_CELLS))
        output.note(f"No run in {output.cut(', '.join(map(redacted, found.stores)), MOST_CELLS)} matches.")
    return found.runs


def _found_or_half_gone(address: str, storage: str | None) -> tuple[Store, str]:
    try:
        return find_run(address, storage)
    except RunNotFound:
        named, run_id = split_address(address)
        store = open_store(named or storage)
        if run_id not in half_purged(store) and run_id not in begun_purges(store):
            raise
        return store, run_id


def _preview_or_rest(store: Store, run_id: str) -> DeletePreview:
    try:
        return preview(store, run_id)
    except RunNotFound:
        return DeletePreview(run_id, store.name, "half deleted", None)


def _refuse_live(found: Found, doomed: Sequence[DeletePreview]) -> None:
    """Nothing goes if one of several cannot."""
    for (store, run_id), each in zip(found, doomed, strict=True):
        if each.live:
            raise RunHeld(
                f"{run_id} is {each.status}, so nothing was deleted. Cancel it first: themis runs cancel "
                f"{store.address(run_id)}"
            )


def _asked(
    given: argparse.Namespace, found: Found, doomed: Sequence[DeletePreview], question: str, warning: str
) -> Callable[[Store], str | None] | None:
    """What each store is confirmed by; ``None`` if the person thought better of it."""
    if not found:
        return lambda store: given.confirm
    stores = _stores(found)
    for store in stores:
        store.check_writable("deleting runs")
    protected = [store for store in stores if store.protected and given.confirm != store.name]
    asking = sys.stdin.isatty()
    if protected and (given.yes or not asking):
        check_may_delete(protected[0], given.confirm)
    if not given.yes:
        if not asking:
            raise UsageError("Without a terminal to ask on, deleting needs --yes. Nothing was deleted.")
        output.note(_doomed_table(doomed))
        if not protected and not _typed(f"{question}{warning} Type y to delete: ", ("y", "yes")):
            output.note("Nothing was deleted.")
            return None
    for store in protected:
        name = output.cut(redacted(store.name), MOST_CELLS)
        if not _typed(f"{question}{warning} {name} is protected; type its name: ", (store.name.casefold(),)):
            output.note("Nothing was deleted.")
            return None
    typed = {store.name for store in protected}
    return lambda store: store.name if store.name in typed else given.confirm


def _typed(question: str, answers: Iterable[str]) -> bool:
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip().casefold() in answers


def _stores(found: Found) -> list[Store]:
    unique: list[Store] = []
    for store, _ in found:
        if all(store.name != each.name for each in unique):
            unique.append(store)
    return unique


def _each(
    given: argparse.Namespace, found: Found, what: str, work: Callable[[Store, str], Any]
) -> tuple[list[Any], Refused]:
    """Do it to one after another; one that is refused keeps no other from it."""
    done: list[Any] = []
    refused: Refused = {}
    with closing(Ticker(as_json=given.progress == "json")) as ticker:
        for number, (store, run_id) in enumerate(found, 1):
            try:
                done.append(work(store, run_id))
            except KeyboardInterrupt:
                output.note(f"Interrupted while {what} {number} of {output.plural(len(found), 'run')}.")
                raise
            except Exception as exc:  # a stranger's store may raise anything
                refused[output.address(store.name, run_id)] = refusal(exc)
            ticker.tell(what, number, len(found))
    return done, refused


def _undo_command(given: argparse.Namespace, trashed: Sequence[Trashed]) -> str:
    words = ["themis", "runs", "restore"]
    if len(trashed) <= _MOST_NAMED:
        return shlex.join([*words, *(output.address(each.store, each.run_id) for each in trashed)])
    where = ["--storage", redacted(given.storage)] if given.storage else []
    if given.query is not None:
        return shlex.join([*words, *where, "--query", given.query])
    return shlex.join([*words, *where]) + " and the names of the runs"


def _as_object(refused: Refused) -> dict[str, Any]:
    return {"refused": {address: str(exc) for address, exc in refused.items()}} if refused else {}


def _say_purged(addresses: list[str], refused: Refused, *, as_json: bool) -> None:
    if as_json:
        output.say_json({"purged": addresses, **_as_object(refused)})
    else:
        for address in addresses:
            output.say(f"purged  {output.cut(address, MOST_CELLS)}, nothing is left")


def _told(refused: Refused) -> int:
    for address, exc in refused.items():
        output.note(f"{output.cut(address, MOST_CELLS)}: {output.cut(output.message_of(exc), 400)}")
    if not refused:
        return exit_codes.DONE
    return max(exit_codes.code_of(exc) for exc in refused.values())


def _say_would(key: str, doomed: Sequence[DeletePreview], stores: Sequence[Store], *, as_json: bool) -> int:
    forbidding = [store for store in stores if store.readonly]
    if as_json:
        would: dict[str, Any] = {key: [_object_of(each) for each in doomed]}
        if forbidding:
            would["readonly"] = [redacted(store.name) for store in forbidding]
        output.say_json(would)
        return exit_codes.DONE
    if doomed:
        output.say(_doomed_table(doomed))
    output.say(_totals(doomed))
    sys.stdout.flush()
    for store in forbidding:
        output.note(f"{output.cut(redacted(store.name), MOST_CELLS)} is readonly, so it would be refused.")
    for store in stores:
        if store.protected and not store.readonly and key != "would_restore":
            name = output.cut(redacted(store.name), MOST_CELLS)
            output.note(f"{name} is protected, so it would want its name typed: --confirm {name}")
    return exit_codes.DONE


def _object_of(each: DeletePreview) -> dict[str, Any]:
    return {
        "address": output.address(each.store, each.run_id),
        "status": each.status,
        "records": each.records,
        "bytes": each.bytes,
        "live": each.live,
        "trashed": each.trashed,
    }


def _doomed_table(doomed: Sequence[DeletePreview]) -> str:
    rows = [
        (
            output.address(each.store, each.run_id),
            each.status,
            output.count(each.records),
            output.size(each.bytes),
        )
        for each in doomed
    ]
    return output.table(("RUN", "STATUS", "SAMPLES", "SIZE"), rows, right={2, 3}, most=MOST_CELLS)


def _totals(doomed: Sequence[DeletePreview]) -> str:
    records = sum(each.records or 0 for each in doomed)
    sizes = [each.bytes for each in doomed if each.bytes is not None]
    live = sum(each.live for each in doomed)
    said = f"{_runs(doomed)}, {output.plural(records, 'sample')}"
    said += f", {output.size(sum(sizes))}" if sizes else ""
    where = dict.fromkeys(output.cut(redacted(each.store), MOST_CELLS) for each in doomed)
    said += f", in {', '.join(where)}" if where else ""
    return said + (f"; {live} of them live, which would be refused" if live else "")


def _runs(doomed: Sequence[DeletePreview]) -> str:
    return output.plural(len(doomed), "run")
