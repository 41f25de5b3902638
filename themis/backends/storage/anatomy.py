"""What a run's folder in a local store holds, beyond what its records say."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from themis.backends.storage.files import whole_lines

OLD_S = 3_600.0
"""A temporary file older than this was left by a killed writer: none takes so long."""


@dataclass
class Anatomy:
    """Files, lines and leftovers of one run."""

    files: int = 0
    bytes: int = 0
    lines: dict[str, int] = field(default_factory=lambda: {"gen": 0, "eval": 0})
    """Whole lines, superseded ones too, by the kind of file."""
    torn: dict[str, int] = field(default_factory=dict)
    """File name to the bytes of an unfinished last line."""
    strays: list[str] = field(default_factory=list)
    """Temporary files that no writer will take up again."""
    unknown: list[str] = field(default_factory=list)
    """Names that are none of a store's."""


def anatomy_of(folder: Path) -> Anatomy:
    """Look at every file of a run. Raises ``OSError``."""
    found = Anatomy()
    for name in sorted(os.listdir(folder)):
        path = folder / name
        info = path.lstat()
        found.files += 1
        found.bytes += info.st_size
        kind = name.partition("-")[0]
        if kind in found.lines and name.endswith(".jsonl"):
            _read(path, kind, found)
        elif name.startswith(".") and name.endswith(".tmp"):
            if time.time() - info.st_mtime > OLD_S:
                found.strays.append(name)
        elif name not in _KNOWN and not name.startswith("lease-"):
            found.unknown.append(name)
    return found


_KNOWN = frozenset({"run.json", "report.json", "annotations.json", ".annotations.lock", "control"})


def _read(path: Path, kind: str, found: Anatomy) -> None:
    for piece in whole_lines(path):
        found.lines[kind] += piece.count(b"\n")
        if not piece.endswith(b"\n"):
            found.torn[path.name] = len(piece) - piece.rfind(b"\n") - 1
