"""The way out of a local store: one rename, after which a run is gone for everybody, then a sweep."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from themis.backends.storage.files import sync_folder, translated
from themis.core.errors import StorageError
from themis.core.run_ids import is_run_id

_OF_A_RUN = re.compile(r"(?:run|report)\.json|(?:gen|eval)-.+\.jsonl|lease-.+\.json|control|\..+\.tmp")
_OF_PEOPLE = ("annotations.json", ".annotations.lock")
"""These are written into any folder that somebody tags, so they do not tell whose it is."""


class DeletedRuns:
    """The folder of runs that are deleted and not swept yet, as ``<run_id>-<nonce>``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, run: Path) -> None:
        """Move a run's folder here. Raises ``OSError``; :class:`StorageError` where that would be no good."""
        _check_ours(run)
        self._folder.mkdir(exist_ok=True)
        self._check()
        with suppress(FileNotFoundError):
            os.rename(run, self._folder / f"{run.name}-{os.urandom(6).hex()}")
            sync_folder(run.parent)

    def sweep(self, run_id: str) -> None:
        """Remove all that is here, also what a killed deletion of another run left. Raises ``OSError``."""
        self._check()
        try:
            names = os.listdir(self._folder)
        except FileNotFoundError:
            return
        for name in names:
            its_run = _run_id(name)
            if its_run == run_id:
                _remove(self._folder / name)
            elif its_run is not None:
                with suppress(OSError):  # it may be somebody else's, and is not what was asked
                    _remove(self._folder / name)

    def left_of(self, run_id: str) -> list[Path]:
        """What is here of one run."""
        return [self._folder / name for name in self._names() if _run_id(name) == run_id]

    def run_ids(self) -> list[str]:
        """Of which runs something is here; what others left (``.DS_Store``, ``.nfs123``) is of none."""
        return sorted({run_id for name in self._names() if (run_id := _run_id(name)) is not None})

    def _names(self) -> list[str]:
        with translated(self._folder, "list"):
            self._check()
            try:
                return os.listdir(self._folder)
            except FileNotFoundError:
                return []

    def _check(self) -> None:
        """Raise :class:`StorageError` where what is swept would lie elsewhere than in this store."""
        if self._folder.is_symlink():
            raise StorageError(
                f"{self._folder} is a link to {os.path.realpath(self._folder)}, and what it leads to would "
                "be removed. Remove the link; nothing was deleted."
            )


def _run_id(name: str) -> str | None:
    """Of which run a folder here is; ``None`` for a name that :meth:`DeletedRuns.take` never gave."""
    run_id, _, nonce = name.rpartition("-")
    return run_id if nonce and is_run_id(run_id) else None


def _check_ours(run: Path) -> None:
    """Raise :class:`StorageError` for what Themis never wrote: other programs keep folders named runs too."""
    try:
        names = [] if run.is_symlink() else os.listdir(run)
    except FileNotFoundError:
        return
    others = [name for name in names if name not in _OF_PEOPLE]
    if others and not any(map(_OF_A_RUN.fullmatch, others)):
        raise StorageError(
            f"{run} holds nothing of a run ({', '.join(sorted(others)[:3])}), so another program may need it "
            "and it was not deleted. Remove it by hand if nobody does."
        )


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():  # what a link points to was never ours
        path.unlink(missing_ok=True)
    while path.exists():
        with suppress(FileNotFoundError):  # another process sweeps it too
            shutil.rmtree(path)
