"""Without the packages of the extra, the message is the command that installs them."""

from __future__ import annotations

import sys

import pytest

from themis.backends import MemoryStorageBackend
from themis.compare import compare_runs
from themis.core.errors import MissingExtra


def test_comparing_without_numpy(monkeypatch):
    store = MemoryStorageBackend()
    for run_id in "ab":
        store.save_run_metadata(run_id, {"run_id": run_id})
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(MissingExtra, match=r"pip install 'themis-tui\[compare\]'"):
        compare_runs([(store, "a"), (store, "b")])
