"""The records in a run's folder, whoever wrote them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from themis.backends.storage.files import translated, whole_lines
from themis.core import codec
from themis.core.current import Rank, identity, rank
from themis.core.entities import GenerationRecord

STILL_WRITTEN_S = 2.0
"""An unfinished line in a file younger than this belongs to a writer at work, and is no news."""

_USUAL: Rank = (1, True, 1)


class RunReader:
    """The records of one kind, in the order in which they are loaded: by the names of their files."""

    def __init__(self, folder: Path, kind: type, reported: set[Path]) -> None:
        """Which files there are is settled here. ``reported`` gathers those whose torn end was told."""
        self._kind = kind
        self._reported = reported
        prefix = "gen-" if kind is GenerationRecord else "eval-"
        with translated(folder, "list files"):
            try:
                names = os.listdir(folder)
            except FileNotFoundError:
                names = []
        self._files = [folder / n for n in sorted(names) if n.startswith(prefix) and n.endswith(".jsonl")]

    def every(self) -> Iterator[Any]:
        """All records, superseded ones too."""
        for path in self._files:
            for records in self._pieces(path):
                yield from records

    def current(self) -> Iterator[Any]:
        """Current records one by one: one pass finds where each stands, the other yields them."""
        places = self._places()
        for file_number, path in enumerate(self._files):
            line = 0
            for records in self._pieces(path):
                for record in records:
                    if places.get(identity(record)) == file_number << 40 | line:
                        yield record
                    line += 1

    def _places(self) -> dict[str, int]:
        """Identity to file and line of the current record."""
        places: dict[str, int] = {}
        known_by = "id" if self._kind is GenerationRecord else "cache_key"
        unusual: dict[str, Rank] = {}  # nearly all records are a first attempt that was answered
        for file_number, path in enumerate(self._files):
            line = 0
            for records in self._pieces(path, codec.decode_ranks):
                for record in records:
                    key, its_rank = getattr(record, known_by), rank(record)
                    if key not in places or its_rank >= unusual.get(key, _USUAL):
                        places[key] = file_number << 40 | line
                        if its_rank != _USUAL or key in unusual:
                            unusual[key] = its_rank
                    line += 1
        return places

    def _pieces(
        self, path: Path, decode: Callable[..., codec.Lines] = codec.decode_lines
    ) -> Iterator[list[Any]]:
        with translated(path, "read records"):
            first_line = 1
            try:
                for piece in whole_lines(path):
                    records, torn = decode(piece, self._kind, str(path), first_line)
                    first_line += piece.count(b"\n")
                    if torn:
                        self._report_torn(path, len(torn))
                    yield records
            except FileNotFoundError:
                return  # the run was deleted while it was read

    def _report_torn(self, path: Path, size: int) -> None:
        with suppress(FileNotFoundError):
            young = time.time() - path.stat().st_mtime < STILL_WRITTEN_S
            if not young and path not in self._reported:
                self._reported.add(path)
                import logging

                logging.getLogger("themis.storage").warning(
                    "%s: dropped an unfinished last line of %d bytes; its writer was killed", path, size
                )
