"""Many writers at once: threads, processes, and one that deletes what another writes."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import pytest

from themis.backends.storage.updates import update_metadata
from themis.core.entities import GenerationRecord
from themis.core.errors import RunNotFound, StorageError
from themis.testing.storage.examples import evaluation, full_metadata, generation
from themis.testing.storage.place import PATIENCE_S, StoragePlace, helper
from themis.testing.storage.workers import save_at_once, save_from_threads

RUN = "run-1"


class Writers(StoragePlace):
    """**Many writers**: nothing is lost, torn or merged. **Reading** goes on meanwhile."""

    def test_threads_save_at_once(self) -> None:
        """Eight threads and four hundred records of each kind: all are there, each once."""
        backend = self.open()
        ids = save_from_threads(backend, RUN, "thread", threads=8, records_each=50)
        assert len(ids) == 400
        backend.flush()
        for reader in (backend, self.open()):
            loaded = reader.load_generation_records(RUN)
            assert sorted(each.id for each in loaded) == sorted(ids)
            assert {each.id: each.response for each in loaded} == {each: f"It is {each}." for each in ids}
            assert reader.load_evaluation_records(RUN) == {each: evaluation(each) for each in ids}

    def test_threads_save_batches_to_several_runs_at_once(self) -> None:
        """No record strays into another run."""
        backend = self.open()
        barrier = threading.Barrier(4)

        def save(writer: int) -> None:
            barrier.wait()
            for batch in range(10):
                for run in range(3):
                    ids = [f"{run}-{writer}-{batch}-{n}" for n in range(5)]
                    backend.save_generation_records(f"run-{run}", [generation(each) for each in ids])
                    backend.save_run_metadata(f"run-{run}", {"run_id": f"run-{run}"})

        in_threads(*(lambda writer=writer: save(writer) for writer in range(4)))
        for run in range(3):
            ids = {f"{run}-{w}-{batch}-{n}" for w in range(4) for batch in range(10) for n in range(5)}
            loaded = backend.load_generation_records(f"run-{run}")
            assert len(loaded) == len(ids)
            assert {each.id for each in loaded} == ids

    def test_several_openings_save_at_once(self) -> None:
        """Two backends of one process, opened on one store, save to one run from threads."""
        self.needs_all_promises("several openings of one store at once")
        backends = [self.open(), self.open()]
        ids: list[str] = []
        in_threads(
            *(
                lambda number=number: ids.extend(
                    save_from_threads(backends[number], RUN, f"opening-{number}", 3, 30)
                )
                for number in range(2)
            )
        )
        for backend in backends:
            backend.flush()
        assert sorted(each.id for each in self.open().load_generation_records(RUN)) == sorted(ids)
        assert sorted(self.open().load_evaluation_records(RUN)) == sorted(ids)

    def test_processes_save_at_once(self) -> None:
        """Two processes of four threads each, opened by pickling the backend: all is there, once."""
        self.needs_processes("several processes save at once")
        backend = self.open()
        backend.save_run_metadata(RUN, full_metadata(RUN))
        with ExitStack() as stack:
            helpers = [
                stack.enter_context(helper(save_at_once, backend, RUN, f"process-{number}", 4, 25))
                for number in range(2)
            ]
            for each in helpers:
                assert each.says() == "ready"
            for each in helpers:
                each.pipe.send("go")
            ids = save_from_threads(backend, RUN, "this", threads=2, records_each=25)
            for each in helpers:
                ids += each.says()
        backend.flush()
        reader = self.open()
        assert len(ids) == 250
        assert sorted(each.id for each in reader.load_generation_records(RUN)) == sorted(ids)
        assert reader.load_evaluation_records(RUN) == {each: evaluation(each) for each in ids}
        assert reader.load_run_metadata(RUN) == full_metadata(RUN)

    def test_a_reader_may_iterate_while_a_writer_writes(self) -> None:
        """What was there when it began is given, whole and once, whatever is saved meanwhile."""
        backend = self.open()
        before = [f"before-{n}" for n in range(50)]
        backend.save_generation_records(RUN, [generation(each) for each in before])
        backend.save_evaluation_records(RUN, [evaluation(each) for each in before])
        generations = backend.iter_generation_records(RUN)
        evaluations = backend.iter_evaluation_records(RUN)
        seen, scored = [next(generations).id], [next(evaluations).cache_key]
        for n in range(50):
            backend.save_generation_record(RUN, generation(f"after-{n}"))
            backend.save_evaluation_record(RUN, evaluation(f"after-{n}"))
            seen += [each.id for _, each in zip(range(1), generations, strict=False)]
            scored += [each.cache_key for _, each in zip(range(1), evaluations, strict=False)]
        seen += [each.id for each in generations]
        scored += [each.cache_key for each in evaluations]
        for given in (seen, scored):
            assert len(given) == len(set(given))
            assert set(before) <= set(given)
        assert len(backend.load_generation_records(RUN)) == len(backend.load_evaluation_records(RUN)) == 100

    def test_loading_while_a_thread_saves_never_loses_what_was_seen(self) -> None:
        """Each loading holds all of the one before, every record whole."""
        backend = self.open()
        backend.save_generation_record(RUN, generation("first"))
        started, done = threading.Event(), threading.Event()

        def save() -> None:
            try:
                for n in range(300):
                    backend.save_generation_record(RUN, generation(f"s-{n}", response="x" * 500))
                    if n == 10:
                        started.set()
            finally:
                done.set()

        seen: set[str] = set()

        def load() -> None:
            assert started.wait(PATIENCE_S)
            last = False
            while not last:
                last = done.is_set()
                records: list[GenerationRecord] = backend.load_generation_records(RUN)
                ids = {each.id for each in records}
                assert len(ids) == len(records)
                assert seen <= ids
                seen.update(ids)

        in_threads(save, load)
        assert seen == {"first", *(f"s-{n}" for n in range(300))}

    def test_deleting_while_another_writes_harms_no_other_run(self) -> None:
        """The writer may be told that its run is gone; other runs are whole, and the run can be made anew."""
        self.needs_all_promises("several openings of one store at once")
        writer, deleter = self.open(), self.open()
        started, done = threading.Event(), threading.Event()

        def write() -> None:
            try:
                for n in range(200):
                    writer.save_generation_record("neighbour", generation(f"s-{n}"))
                    try:
                        writer.save_generation_record(RUN, generation(f"s-{n}"))
                        writer.save_run_metadata(RUN, {"run_id": RUN})
                    except StorageError:
                        pass  # its run was deleted under it
                    started.set()
            finally:
                done.set()

        def delete() -> None:
            assert started.wait(PATIENCE_S)
            while not done.is_set():
                deleter.delete_run(RUN)

        in_threads(write, delete)
        writer.close()
        deleter.delete_run(RUN)
        assert not deleter.run_exists(RUN)
        assert deleter.list_runs() == ["neighbour"]
        neighbour = self.open().load_generation_records("neighbour")
        assert sorted(each.id for each in neighbour) == sorted(f"s-{n}" for n in range(200))
        writer.save_generation_record(RUN, generation("anew"))
        assert [each.id for each in writer.load_generation_records(RUN)] == ["anew"]

    def test_a_run_made_anew_after_another_deleted_it_takes_records(self) -> None:
        """The same opening that wrote the old run writes the new one."""
        self.needs_all_promises("several openings of one store at once")
        writer, deleter = self.open(), self.open()
        writer.save_run_metadata(RUN, {"run_id": RUN, "status": "old"})
        writer.save_generation_record(RUN, generation("old"))
        writer.save_evaluation_record(RUN, evaluation("old"))
        writer.flush()
        deleter.delete_run(RUN)
        writer.save_run_metadata(RUN, {"run_id": RUN, "status": "new"})
        writer.save_generation_record(RUN, generation("new"))
        writer.save_evaluation_record(RUN, evaluation("new"))
        writer.flush()
        for reader in (writer, self.open()):
            assert [each.id for each in reader.load_generation_records(RUN)] == ["new"]
            assert list(reader.load_evaluation_records(RUN)) == ["new"]

    def test_updating_the_metadata_never_brings_a_deleted_run_back(self) -> None:
        """A runner whose run was deleted, by this opening or another, is told."""
        self.needs_all_promises("several openings of one store at once")
        writer, deleter = self.open(), self.open()
        with pytest.raises(RunNotFound):
            update_metadata(writer, RUN, {"run_id": RUN})
        writer.save_generation_record(RUN, generation("a"))
        update_metadata(writer, RUN, {"run_id": RUN, "n": 1})
        assert self.open().load_run_metadata(RUN)["n"] == 1
        for each in (deleter, writer):
            each.save_run_metadata(RUN, {"run_id": RUN, "n": 2})
            writer.save_run_metadata(RUN, {"run_id": RUN, "n": 3})
            update_metadata(writer, RUN, {"run_id": RUN, "n": 4})
            assert deleter.load_run_metadata(RUN)["n"] == 4
            each.delete_run(RUN)
            with pytest.raises(RunNotFound):
                update_metadata(writer, RUN, {"run_id": RUN, "n": 5})
            assert deleter.list_runs() == []
            assert not deleter.run_exists(RUN)


def in_threads(*works: object) -> None:
    """Call each in a thread of its own, and raise what the first of them raised."""
    errors: list[BaseException] = []

    def guarded(work: object) -> None:
        try:
            assert callable(work)
            work()
        except BaseException as exc:  # raised again below
            errors.append(exc)

    threads = [threading.Thread(target=guarded, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    if errors:
        raise errors[0]
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
