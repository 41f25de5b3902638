"""Opening, closing, flushing, pickling and checking a store."""

from __future__ import annotations

import pickle
from contextlib import suppress
from typing import cast

from themis.backends.storage.base import StorageBackend
from themis.testing.storage.examples import evaluation, full_metadata, generation
from themis.testing.storage.place import StoragePlace, helper
from themis.testing.storage.workers import save_and_read

RUN = "run-1"


class Life(StoragePlace):
    """**Pickling**, closing, and reading one's own writes."""

    def test_the_class_says_what_it_promises(self) -> None:
        """``thread_safe`` on the backend and ``eleven_methods_only`` on the suite do not contradict."""
        backend = self.make()
        assert isinstance(backend, StorageBackend)
        assert backend.thread_safe is not self.eleven_methods_only
        backend.close()

    def test_a_backend_reads_its_own_writes(self) -> None:
        """At once, record by record, without a flush."""
        backend = self.open()
        for n in range(20):
            backend.save_generation_record(RUN, generation(f"s-{n}"))
            backend.save_evaluation_record(RUN, evaluation(f"s-{n}"))
            backend.save_run_metadata(RUN, {"run_id": RUN, "seen": n})
            assert len(backend.load_generation_records(RUN)) == n + 1
            assert len(backend.load_evaluation_records(RUN)) == n + 1
            assert backend.load_run_metadata(RUN)["seen"] == n

    def test_records_come_in_the_order_of_their_first_saving(self) -> None:
        """Of one writer, so that a page of records stays a page."""
        self.needs_all_promises("keep the order of saving")
        backend = self.open()
        ids = [f"s-{n}" for n in (5, 3, 9, 1, 7)]
        backend.save_generation_records(RUN, [generation(each) for each in ids])
        assert [each.id for each in backend.load_generation_records(RUN)] == ids

    def test_a_closed_backend_opens_again_when_used(self) -> None:
        """Closing makes durable and lets go; closing twice, and closing what was never used, is fine."""
        backend = self.open()
        backend.close()
        backend.save_generation_record(RUN, generation("a"))
        backend.close()
        backend.close()
        assert [each.id for each in backend.load_generation_records(RUN)] == ["a"]
        backend.save_generation_record(RUN, generation("b"))
        backend.save_run_metadata(RUN, full_metadata(RUN))
        backend.close()
        assert sorted(each.id for each in self.open().load_generation_records(RUN)) == ["a", "b"]
        assert backend.load_run_metadata(RUN) == full_metadata(RUN)

    def test_what_was_flushed_is_there_for_others(self) -> None:
        """Flushing as often as one likes, also with nothing to flush."""
        backend = self.open()
        backend.flush()
        for n in range(3):
            backend.save_generation_record(RUN, generation(f"s-{n}"))
            backend.flush()
            backend.flush()
            assert len(self.open().load_generation_records(RUN)) == n + 1

    def test_a_with_block_closes(self) -> None:
        """What was saved in it is durable after it, also when something is raised in it."""
        with suppress(LookupError), self.open() as backend:
            backend.save_generation_record(RUN, generation("a"))
            raise LookupError
        assert [each.id for each in self.open().load_generation_records(RUN)] == ["a"]

    def test_pickling_keeps_the_configuration(self) -> None:
        """Before and after use: the copy sees what is stored, and the original works on."""
        self.needs_all_promises("survive pickling")
        backend = self.open()
        unused = pickle.dumps(self.make())
        backend.save_generation_record(RUN, generation("a"))
        backend.flush()
        copy = cast(StorageBackend, pickle.loads(pickle.dumps(backend)))
        assert type(copy) is type(backend)
        assert copy.load_generation_records(RUN) == [generation("a")]
        copy.save_generation_record(RUN, generation("b"))
        copy.close()
        backend.save_generation_record(RUN, generation("c"))
        assert {"a", "c"} <= {each.id for each in backend.load_generation_records(RUN)}
        if self.shared_between_processes:
            fresh = cast(StorageBackend, pickle.loads(unused))
            backend.flush()
            assert sorted(each.id for each in fresh.load_generation_records(RUN)) == ["a", "b", "c"]
            fresh.close()

    def test_a_pickled_backend_works_in_another_process(self) -> None:
        """It opens connections of its own there."""
        self.needs_processes("travel to another process")
        backend = self.open()
        backend.save_generation_record(RUN, generation("from-here"))
        backend.flush()
        with helper(save_and_read, backend, RUN) as elsewhere:
            assert elsewhere.says() == ["from-here"]
            assert elsewhere.says() == "saved"
        loaded = {each.id for each in self.open().load_generation_records(RUN)}
        assert loaded == {"from-here", "from-elsewhere"}

    def test_check_walks_every_step_and_leaves_nothing_behind(self) -> None:
        """With the time that each step took, on an empty store and on one with runs."""
        backend = self.open()
        for runs in ([], [RUN]):
            for run_id in runs:
                backend.save_generation_record(run_id, generation("a"))
            steps = backend.check()
            assert [step for step in steps if not step.ok] == []
            assert len({step.name for step in steps}) == len(steps) >= 4
            assert all(step.seconds >= 0 for step in steps)
            assert backend.list_runs() == runs
