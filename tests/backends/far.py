"""A remote store as the journal sees one: a local store behind a line that can be cut.

The line is a file, ``<root>/../line-is-cut``, so that several processes see it: while it is there, whatever
is asked of the store fails with the words in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from themis.backends import LocalStorageBackend
from themis.backends.storage.annotations import Annotations
from themis.backends.storage.journal import Opening
from themis.backends.storage.journalled import JournalledStorage
from themis.core import codec
from themis.core.entities import EvaluationRecord, ExperimentReport, GenerationRecord
from themis.core.errors import AccessDenied, RecordRefused, RunNotFound, StoreUnreachable


class FarStorage(JournalledStorage, Annotations):
    """``slow``: records are sent only when they are flushed."""

    def __init__(
        self,
        root: Path,
        *,
        journal: bool = True,
        journal_mb: int = 64,
        patience_s: float = 5.0,
        slow: bool = False,
    ) -> None:
        self.root = root
        self.options: dict[str, Any] = {
            "journal": journal,
            "journal_mb": journal_mb,
            "patience_s": patience_s,
        }
        self.slow = slow
        self.segment_age_s = 1e6 if slow else 0.01
        self.sent: list[str] = []
        self.far = LocalStorageBackend(root)
        self._set_up_journal(f"far:{root}", **self.options)

    @property
    def line(self) -> Path:
        return self.root.parent / "line-is-cut"

    def cut(self, why: str = "no route to the far store") -> None:
        self.line.parent.mkdir(parents=True, exist_ok=True)
        self.line.write_text(why)

    def mend(self) -> None:
        self.line.unlink()

    def _reach(self) -> LocalStorageBackend:
        with suppress(FileNotFoundError):
            why = self.line.read_text()
            raise (AccessDenied if why == "denied" else StoreUnreachable)(why)
        return self.far

    def _token(self, run_id: str) -> Path:
        return self.root / "runs" / run_id / ".token.tmp"

    def _opening_of(self, run_id: str) -> Opening:
        token = self._token(run_id)
        made = token.with_name(f".{os.urandom(4).hex()}.tmp")
        try:
            token.parent.mkdir(parents=True, exist_ok=True)
            made.write_text(os.urandom(4).hex())
            with suppress(FileExistsError):
                os.link(made, token)
            made.unlink()
            return Opening(1, token.read_text())
        except OSError as exc:
            raise RunNotFound(f"{run_id} was deleted meanwhile.") from exc

    def _open_run(self, run_id: str) -> Opening:
        self._reach()
        return self._opening_of(run_id)

    def _send(self, run_id: str, opening: Opening, name: str, kind: str, lines: bytes) -> None:
        far = self._reach()
        try:
            known = self._token(run_id).read_text()
        except FileNotFoundError:
            known = None
        if known != opening.run:
            raise RunNotFound(f"{run_id} was deleted.")
        if b"poison" in lines:
            raise RecordRefused("the far store does not take poison")
        self.sent.append(name)
        if kind == "gen":
            far.save_generation_records(run_id, codec.decode_lines(lines, GenerationRecord).records)
        else:
            far.save_evaluation_records(run_id, codec.decode_lines(lines, EvaluationRecord).records)
        far.flush()

    def save_run_metadata(self, run_id: str, metadata: dict[str, Any]) -> None:
        self._reach().save_run_metadata(run_id, metadata)
        self._opened_as(run_id, self._opening_of(run_id))

    def load_run_metadata(self, run_id: str) -> dict[str, Any]:
        return self._reach().load_run_metadata(run_id)

    def load_generation_records(self, run_id: str) -> list[GenerationRecord]:
        self._settle(run_id)
        return self._reach().load_generation_records(run_id)

    def iter_generation_records(self, run_id: str) -> Iterator[GenerationRecord]:
        self._settle(run_id)
        return self._reach().iter_generation_records(run_id)

    def load_evaluation_records(self, run_id: str) -> dict[str, EvaluationRecord]:
        self._settle(run_id)
        return self._reach().load_evaluation_records(run_id)

    def iter_evaluation_records(self, run_id: str) -> Iterator[EvaluationRecord]:
        self._settle(run_id)
        return self._reach().iter_evaluation_records(run_id)

    def save_report(self, run_id: str, report: ExperimentReport) -> None:
        self._reach().save_report(run_id, report)

    def load_report(self, run_id: str) -> ExperimentReport:
        return self._reach().load_report(run_id)

    def list_runs(self) -> list[str]:
        return self._reach().list_runs()

    def list_summaries(self) -> Iterator[dict[str, Any]]:
        return self._reach().list_summaries()

    def run_exists(self, run_id: str) -> bool:
        return self._reach().run_exists(run_id)

    def delete_run(self, run_id: str) -> None:
        self._discard(run_id)
        self._reach().delete_run(run_id)

    def close(self) -> None:
        super().close()
        self.far.close()

    def load_annotations(self, run_id: str) -> tuple[dict[str, Any], str]:
        return self._reach().load_annotations(run_id)

    def save_annotations(self, run_id: str, annotations: dict[str, Any], version: str) -> str:
        return self._reach().save_annotations(run_id, annotations, version)

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root, "slow": self.slow, **self.options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)

    def __repr__(self) -> str:
        return f"FarStorage({str(self.root)!r})"
