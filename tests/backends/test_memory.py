from __future__ import annotations

import pickle

from themis.backends import MemoryStorageBackend
from themis.core.entities import GenerationRecord
from themis.testing import StorageBackendSuite


class TestMemory(StorageBackendSuite):
    shared_between_processes = False

    def make(self) -> MemoryStorageBackend:
        self.__dict__.setdefault("store", MemoryStorageBackend())
        return self.__dict__["store"]


def test_two_memories_share_nothing():
    one, other = MemoryStorageBackend(), MemoryStorageBackend()
    one.save_run_metadata("r", {})
    assert other.list_runs() == []


def test_a_pickled_memory_is_a_copy():
    store = MemoryStorageBackend()
    store.save_generation_record("r", GenerationRecord("a", "?", "!"))
    copy = pickle.loads(pickle.dumps(store))
    copy.save_generation_record("new", GenerationRecord("b", "?", "!"))
    assert store.list_runs() == ["r"]
    assert copy.list_runs() == ["new", "r"]


def test_it_says_how_much_it_holds():
    store = MemoryStorageBackend()
    store.save_run_metadata("r", {})
    assert repr(store) == "MemoryStorageBackend(1 runs)"
