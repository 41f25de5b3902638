"""Who deleted which run for good, and when, from this machine.

``purges.jsonl`` in the state directory, of this user only: a line ``begun`` and a line ``done`` for each.
When it is full it goes on as a new file, which begins with what is not done yet; of the full ones the last
is kept, as ``purges-1.jsonl``.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from themis.backends.storage.files import locked, translated
from themis.core.directories import make_private, state_dir
from themis.runs.annotations import person
from themis.runs.catalog import Store, store_key
from themis.runs.watch import RunView

MOST_BYTES = 4 << 20
"""A file larger than this, some 10,000 deletions, is full."""


def purges_path() -> Path:
    """The file that is written to."""
    return state_dir() / "purges.jsonl"


def log_purge(store: Store, view: RunView, step: str) -> None:
    """Add a line, whole or not at all. Raises :class:`StorageError` where it cannot be written."""
    summary = view.metadata.get("summary")
    line = {
        "at": time.time(),
        "by": person(),
        "step": step,
        "store": store_key(store),
        "run_id": view.run_id,
        "uid": view.metadata.get("uid"),
        "status": view.status.word,
        "records": summary.get("done") if isinstance(summary, dict) else None,
    }
    path = purges_path()
    with translated(path, "write down a deletion"):
        make_private(path.parent)
        with locked(path.with_name(".purges.lock")):
            _begin_anew_if_full(path)
            _append(path, json.dumps(line, default=str).encode("ascii") + b"\n")


def begun_purges(store: Store) -> dict[str, dict[str, Any]]:
    """Run id to the line ``begun`` of deletions from this machine that never came to their end."""
    key = store_key(store)
    return {run_id: line for (where, run_id), line in _begun(_lines(purges_path())).items() if where == key}


def _begun(lines: Iterable[bytes]) -> dict[tuple[str, str], dict[str, Any]]:
    begun: dict[tuple[str, str], dict[str, Any]] = {}
    for line in lines:
        with suppress(ValueError, KeyError, TypeError):  # another's line, or one that a full disk tore
            said = json.loads(line)
            run = said["store"], said["run_id"]
            if said["step"] == "begun":
                begun[run] = said
            else:
                begun.pop(run, None)
    return begun


def _lines(path: Path) -> list[bytes]:
    with translated(path, "read which deletions were begun"):
        try:
            return path.read_bytes().splitlines()
        except FileNotFoundError:
            return []


def _append(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(fd).st_size
        if size and os.pread(fd, 1, size - 1) != b"\n":
            data = b"\n" + data
        try:
            while data:
                data = data[os.write(fd, data) :]
        except BaseException:
            os.ftruncate(fd, size)
            raise
    finally:
        os.close(fd)


def _begin_anew_if_full(path: Path) -> None:
    try:
        if path.stat().st_size < MOST_BYTES:
            return
    except FileNotFoundError:
        return
    anew = path.with_name(".purges.tmp")
    anew.unlink(missing_ok=True)
    lines = [json.dumps(line).encode("ascii") + b"\n" for line in _begun(_lines(path)).values()]
    _append(anew, b"".join(lines))
    full = path.with_name("purges-1.jsonl")
    full.unlink(missing_ok=True)
    os.link(path, full)
    os.replace(anew, path)
