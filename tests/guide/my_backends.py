"""Backends as a reader of the first guide wrote them: that guide's methods alone, and nothing of ours.

They keep the guide's habits on purpose. Records are appended by fetching the object, adding a line and
putting it back; what is missing is a plain ``FileNotFoundError``; no class calls ``super().__init__``; the
executors know neither ``return_exceptions`` nor ``cancel``. Do not copy them: see docs/extending-backends.md.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import boto3

from themis.backends import ExecutionBackend, StorageBackend
from themis.core.entities import EvaluationRecord, ExperimentReport, GenerationRecord


class S3StorageBackend(StorageBackend):
    """Four objects a run, under a prefix of its own."""

    def __init__(self, bucket: str, prefix: str = "evaluations"):
        self.bucket = bucket
        self.prefix = prefix
        self.s3 = boto3.client("s3")

    def save_run_metadata(self, run_id: str, metadata: dict[str, Any]) -> None:
        self._put(run_id, "metadata.json", json.dumps(metadata))

    def load_run_metadata(self, run_id: str) -> dict[str, Any]:
        return json.loads(self._must_get(run_id, "metadata.json"))

    def save_generation_record(self, run_id: str, record: GenerationRecord) -> None:
        self._add_line(run_id, "generations.jsonl", json.dumps(record.__dict__))

    def load_generation_records(self, run_id: str) -> list[GenerationRecord]:
        return [GenerationRecord(**fields) for fields in self._lines(run_id, "generations.jsonl")]

    def save_evaluation_record(self, run_id: str, record: EvaluationRecord) -> None:
        self._add_line(run_id, "evaluations.jsonl", json.dumps(record.__dict__))

    def load_evaluation_records(self, run_id: str) -> dict[str, EvaluationRecord]:
        loaded = [EvaluationRecord(**fields) for fields in self._lines(run_id, "evaluations.jsonl")]
        return {record.cache_key: record for record in loaded}

    def save_report(self, run_id: str, report: ExperimentReport) -> None:
        self._put(run_id, "report.json", json.dumps(report.__dict__))

    def load_report(self, run_id: str) -> ExperimentReport:
        return ExperimentReport(**json.loads(self._must_get(run_id, "report.json")))

    def list_runs(self) -> list[str]:
        page = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=f"{self.prefix}/", Delimiter="/")
        return [each["Prefix"].split("/")[-2] for each in page.get("CommonPrefixes", [])]

    def run_exists(self, run_id: str) -> bool:
        return bool(self._keys(run_id))

    def delete_run(self, run_id: str) -> None:
        for key in self._keys(run_id):
            self.s3.delete_object(Bucket=self.bucket, Key=key)

    def _name(self, run_id: str, name: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": f"{self.prefix}/{run_id}/{name}"}

    def _keys(self, run_id: str) -> list[str]:
        page = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=f"{self.prefix}/{run_id}/")
        return [each["Key"] for each in page.get("Contents", [])]

    def _put(self, run_id: str, name: str, text: str) -> None:
        self.s3.put_object(**self._name(run_id, name), Body=text.encode())

    def _get(self, run_id: str, name: str) -> str | None:
        try:
            return self.s3.get_object(**self._name(run_id, name))["Body"].read().decode()
        except self.s3.exceptions.NoSuchKey:
            return None

    def _must_get(self, run_id: str, name: str) -> str:
        text = self._get(run_id, name)
        if text is None:
            raise FileNotFoundError(f"{run_id} has no {name}")
        return text

    def _add_line(self, run_id: str, name: str, line: str) -> None:
        self._put(run_id, name, (self._get(run_id, name) or "") + line + "\n")

    def _lines(self, run_id: str, name: str) -> Iterator[dict[str, Any]]:
        return map(json.loads, (self._get(run_id, name) or "").splitlines())


class S3KnownByMetadata(S3StorageBackend):
    """A run exists once its metadata do, and every error means that it does not."""

    def run_exists(self, run_id: str) -> bool:
        try:
            self.s3.head_object(**self._name(run_id, "metadata.json"))
        except Exception:
            return False
        return True


class ClusterExecutionBackend(ExecutionBackend):
    """Shaped like one on a cluster: submits everything at once, waits in rounds, gives in any order."""

    def __init__(self, num_cpus: int | None = None, address: str | None = None):
        self.shut_down = 0
        self.num_cpus = num_cpus or 2

    def map(self, func, items, max_workers=None, timeout=None, **kwargs):
        submitted = list(items)
        random.Random(7).shuffle(submitted)
        while submitted:
            running, submitted = submitted[: self.num_cpus], submitted[self.num_cpus :]
            yield from self._round(func, running)

    def _round(self, func: Callable[[Any], Any], items: list[Any]) -> list[Any]:
        results: list[Any] = []
        workers = [threading.Thread(target=lambda i=item: results.append(func(i))) for item in items]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return results

    def shutdown(self) -> None:
        self.shut_down += 1


class LoopExecutionBackend(ExecutionBackend):
    """Plain functions in an event loop's threads, results as they come."""

    def __init__(self, max_concurrent: int = 100):
        self.max_concurrent = max_concurrent
        self.shut_down = 0

    def map(
        self,
        func: Callable[[Any], Any],
        items: Iterable[Any],
        *,
        max_workers: int | None = None,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> Iterator[Any]:
        loop = asyncio.new_event_loop()
        room = asyncio.Semaphore(max_workers or self.max_concurrent)

        async def one(item: Any) -> Any:
            async with room:
                return await loop.run_in_executor(None, func, item)

        async def results() -> Any:
            for earliest in asyncio.as_completed([one(item) for item in list(items)]):
                yield await earliest

        coming = results()
        try:
            while True:
                yield loop.run_until_complete(anext(coming))
        except StopAsyncIteration:
            return
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    def shutdown(self) -> None:
        self.shut_down += 1
