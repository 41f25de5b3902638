"""The promises of an executor on a real cluster of two nodes, and what happens when parts of it are lost."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from themis.backends.execution.ray_backend import RayExecutionBackend
from themis.backends.execution.ray_process import RayProcess
from themis.testing import ExecutionBackendSuite
from themis.testing.execution.place import in_thread, parted

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("ray")]


class OnSharedProcess(RayExecutionBackend):
    """Does not connect anew for each test: it takes seconds."""

    process: RayProcess | None = None
    connecting = threading.Lock()

    def _connected(self) -> RayProcess:
        with self.connecting:
            if OnSharedProcess.process is None or OnSharedProcess.process.ended:
                OnSharedProcess.process = RayProcess(self.address, None)
            self._process = OnSharedProcess.process
            return self._process

    def shutdown(self) -> None:
        self._process = None
        super().shutdown()


@pytest.fixture(scope="module", autouse=True)
def end_of_process() -> Any:
    yield
    if OnSharedProcess.process is not None:
        OnSharedProcess.process.stop()


class TestRay(ExecutionBackendSuite):
    in_process = False
    carries_code = True
    most_ahead = 25_000
    items_in_memory = 50_000

    @pytest.fixture(autouse=True)
    def cluster(self, ray_cluster: Any) -> None:
        self.address = ray_cluster.address

    def make(self) -> RayExecutionBackend:
        return OnSharedProcess(address=self.address)

    def test_when_every_worker_hangs_it_is_said(self) -> None:
        """What hangs here ends with its worker, which is replaced, so that workers never run out."""
        results = self.open().map(
            self.hanging_from(0), range(8), max_workers=2, timeout=0.2, return_exceptions=True
        )
        _, failures = in_thread(lambda: parted(results))
        assert [(each.item, each.kind) for each in failures] == [(item, "timeout") for item in range(8)]

    def test_no_thread_is_left(self) -> None:
        """Of an executor that connects for itself."""
        self.make = lambda: RayExecutionBackend(address=self.address)  # type: ignore[method-assign]
        super().test_no_thread_is_left()
