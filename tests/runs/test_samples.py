"""Samples whole, by one look at the records."""

from __future__ import annotations

from themis import evaluate
from themis.backends import MemoryStorageBackend
from themis.runs.samples import sample_rows, whole_samples


class Counted(MemoryStorageBackend):
    read = 0

    def iter_generation_records(self, run_id):
        for record in super().iter_generation_records(run_id):
            self.read += 1
            yield record


def test_some_samples_are_found_with_their_scores_and_no_more_is_read():
    store = Counted()
    evaluate("demo", model="fake-math-llm", limit=30, run_id="r", storage_backend=store)
    rows = sample_rows(store, "r", "ExactMatch")
    store.read = 0
    found = whole_samples(store, "r", [rows[2].id, rows[4].id])
    assert set(found) == {rows[2].id, rows[4].id}
    assert store.read == 5
    for row in (rows[2], rows[4]):
        generation, evaluation = found[row.id]
        assert generation.id == evaluation.id == row.id
        assert evaluation.scores["ExactMatch"] == row.score
    assert whole_samples(store, "r", []) == {}
    assert whole_samples(store, "r", ["nobody"]) == {}
