"""A process killed with ``kill -9`` while it saves: what its saves returned for is there."""

from __future__ import annotations

import pytest

from themis.testing.storage.examples import evaluation, generation
from themis.testing.storage.place import StoragePlace, helper
from themis.testing.storage.workers import save_until_killed

RUN = "run-1"


class Crashes(StoragePlace):
    """**Durability**, and what a killed writer leaves."""

    @pytest.mark.parametrize("after", [1, 60])
    def test_what_was_saved_before_a_kill_is_there(self, after: int) -> None:
        """Every record whose save returned, of both kinds; and the next writer goes on."""
        self.needs_processes("survive kill -9")
        backend = self.open()
        saved = self._killed("killed", [200], after)
        backend.save_generation_record(RUN, generation("next"))
        backend.flush()
        reader = self.open()
        generations = {each.id: each for each in reader.load_generation_records(RUN)}
        evaluations = reader.load_evaluation_records(RUN)
        assert generations["next"] == generation("next")
        assert saved <= generations.keys()
        assert {key: evaluations.get(key) for key in saved} == {key: evaluation(key) for key in saved}
        assert all(generations[key].response == "x" * 200 for key in saved)

    def test_a_large_record_torn_by_a_kill_does_not_harm_its_neighbours(self) -> None:
        """Killed twice in the midst of records of ten megabytes: all others, before and after, are whole."""
        self.needs_processes("survive kill -9")
        neighbour = self.open()
        neighbour.save_generation_record(RUN, generation("before"))
        sizes = [10, self.large_text]
        saved: set[str] = set()
        for writer in ("first", "second"):
            saved |= self._killed(writer, sizes, after=3, amid=f"{writer}-5")
            neighbour.save_generation_record(RUN, generation(f"beside {writer}"))
        neighbour.flush()
        loaded = {each.id: each.response for each in self.open().load_generation_records(RUN)}
        for key in ("before", "beside first", "beside second"):
            assert loaded.pop(key) == f"It is {key}."
        assert saved <= loaded.keys()
        assert {len(response or "") for response in loaded.values()} <= set(sizes)
        assert {f"first-{n}" for n in range(4)} <= saved
        assert sorted(each.id for each in self.open().iter_generation_records(RUN)) == sorted(
            [*loaded, "before", "beside first", "beside second"]
        )

    def _killed(self, writer: str, sizes: list[int], after: int, amid: str | None = None) -> set[str]:
        """What a helper had saved when it was killed: at least ``after`` records, perhaps amid another."""
        backend = self.make()
        try:
            with helper(save_until_killed, backend, RUN, writer, sizes) as killed:
                saved: set[str] = set()
                begun = amid is None
                while len(saved) < after or not begun:
                    what, key = killed.says()
                    if what == "saved":
                        saved.add(key)
                    begun = begun or key == amid
                saved.update(key for what, key in killed.kill() if what == "saved")
        finally:
            backend.close()
        return saved
