"""A backend of the eleven methods alone that keeps its runs in files, as somebody writes it in an hour."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from themis.backends import StorageBackend
from themis.core.entities import EvaluationRecord, ExperimentReport, GenerationRecord


class FileStore(StorageBackend):
    """One folder a run, one file a record; deleting goes from file to file, so that it can be cut short."""

    def __init__(self, root: str) -> None:
        self.root = Path(root)
        self.root.mkdir(parents=True, exist_ok=True)

    def save_run_metadata(self, run_id: str, metadata: dict[str, Any]) -> None:
        self._write(run_id, "metadata.json", metadata)

    def load_run_metadata(self, run_id: str) -> dict[str, Any]:
        metadata: dict[str, Any] = json.loads((self.root / run_id / "metadata.json").read_text())
        return metadata

    def save_generation_record(self, run_id: str, record: GenerationRecord) -> None:
        self._write(run_id, f"g-{record.id}.json", record.__dict__)

    def load_generation_records(self, run_id: str) -> list[GenerationRecord]:
        return [GenerationRecord(**each) for each in self._all(run_id, "g")]

    def save_evaluation_record(self, run_id: str, record: EvaluationRecord) -> None:
        self._write(run_id, f"e-{record.cache_key}.json", record.__dict__)

    def load_evaluation_records(self, run_id: str) -> dict[str, EvaluationRecord]:
        return {each["cache_key"]: EvaluationRecord(**each) for each in self._all(run_id, "e")}

    def save_report(self, run_id: str, report: ExperimentReport) -> None:
        self._write(run_id, "report.json", report.__dict__)

    def load_report(self, run_id: str) -> ExperimentReport:
        return ExperimentReport(**json.loads((self.root / run_id / "report.json").read_text()))

    def list_runs(self) -> list[str]:
        return sorted(each.name for each in self.root.iterdir())

    def run_exists(self, run_id: str) -> bool:
        return (self.root / run_id).exists()

    def delete_run(self, run_id: str) -> None:
        if self.run_exists(run_id):
            for each in sorted((self.root / run_id).iterdir()):
                self._unlink(each)
            (self.root / run_id).rmdir()

    def _unlink(self, path: Path) -> None:
        path.unlink()

    def __repr__(self) -> str:
        return f"FileStore({str(self.root)!r})"

    def _write(self, run_id: str, name: str, value: Any) -> None:
        folder = self.root / run_id
        folder.mkdir(exist_ok=True)
        part = self.root.parent / f"{self.root.name}-{run_id}-{name}.part"
        part.write_text(json.dumps(value))
        part.replace(folder / name)

    def _all(self, run_id: str, kind: str) -> list[dict[str, Any]]:
        return [json.loads(each.read_text()) for each in sorted((self.root / run_id).glob(f"{kind}-*.json"))]
