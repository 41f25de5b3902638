"""Which of several records with one identity is loaded, and that doing something twice does no harm."""

from __future__ import annotations

from itertools import permutations

from themis.core.entities import EvaluationRecord, ExperimentReport, GenerationRecord
from themis.testing.storage.examples import evaluation, full_metadata, generation
from themis.testing.storage.place import StoragePlace

RUN = "run-1"
ONE_OF_EVALUATIONS = "load the current of several evaluations, of which its dict has room for one"


def _answers(key: str) -> list[GenerationRecord]:
    """Records of one identity, from the least to the one that counts."""
    failed = {"kind": "timeout", "stage": "call", "message": "", "status": None, "calls": 1}
    return [
        generation(key, response=None, error=failed),
        generation(key, response="first"),
        generation(key, response=None, error=failed, attempt=2),
        generation(key, response="second", attempt=2),
    ]


def _scores(key: str) -> list[EvaluationRecord]:
    """As above: a later attempt, then an answer before an error, then a later revision."""
    failed = {"kind": "timeout", "stage": "call"}
    return [
        evaluation(key, error=failed, revision=9),
        evaluation(key, scores={"F1": 0.1}, revision=7),
        evaluation(key, scores={"F1": 0.2}, revision=1, attempt=2),
        evaluation(key, scores={"F1": 0.3}, revision=2, attempt=2),
    ]


class Currency(StoragePlace):
    """**Identity**: the current-record rule in every order, and idempotence."""

    def test_the_current_generation_is_loaded_whatever_the_order(self) -> None:
        """Highest attempt, then an answer before an error, in each of the orders of saving."""
        backend = self.open()
        for number, order in enumerate(permutations(range(4))):
            for place in order:
                backend.save_generation_record(RUN, _answers(f"s-{number}")[place])
        backend.flush()
        expected = {f"s-{number}": _answers(f"s-{number}")[3] for number in range(24)}
        for reader in (backend, self.open()):
            loaded = reader.load_generation_records(RUN)
            assert len(loaded) == 24
            assert {each.id: each for each in loaded} == expected
            iterated = list(reader.iter_generation_records(RUN))
            assert len(iterated) == 24
            assert {each.id: each for each in iterated} == expected

    def test_the_current_evaluation_is_loaded_whatever_the_order(self) -> None:
        """Highest attempt, then an answer, then the highest revision, in each of the orders of saving."""
        self.needs_all_promises(ONE_OF_EVALUATIONS)
        backend = self.open()
        for number, order in enumerate(permutations(range(4))):
            for place in order:
                backend.save_evaluation_record(RUN, _scores(f"s-{number}")[place])
        backend.flush()
        expected = {f"s-{number}": _scores(f"s-{number}")[3] for number in range(24)}
        for reader in (backend, self.open()):
            assert reader.load_evaluation_records(RUN) == expected
            iterated = list(reader.iter_evaluation_records(RUN))
            assert len(iterated) == 24
            assert {each.cache_key: each for each in iterated} == expected

    def test_each_lesser_generation_is_current_until_a_better_one_comes(self) -> None:
        """From the least to the best, what is loaded is the best so far; then the worst change nothing."""
        backend = self.open()
        for answer in _answers("s"):
            backend.save_generation_record(RUN, answer)
            assert backend.load_generation_records(RUN) == [answer]
        backend.save_generation_records(RUN, _answers("s")[:3])
        assert backend.load_generation_records(RUN) == [_answers("s")[3]]

    def test_each_lesser_evaluation_is_current_until_a_better_one_comes(self) -> None:
        """As with generations: also a late, lesser score changes nothing."""
        self.needs_all_promises(ONE_OF_EVALUATIONS)
        backend = self.open()
        for score in _scores("s"):
            backend.save_evaluation_record(RUN, score)
            assert backend.load_evaluation_records(RUN) == {"s": score}
        backend.save_evaluation_records(RUN, _scores("s")[:3])
        assert backend.load_evaluation_records(RUN) == {"s": _scores("s")[3]}

    def test_the_rule_holds_for_generations_across_sessions(self) -> None:
        """One opening after the other, each of them saving one record of every identity."""
        for session in range(4):
            backend = self.open()
            for number, order in enumerate(permutations(range(4))):
                backend.save_generation_record(RUN, _answers(f"s-{number}")[order[session]])
            backend.close()
        loaded = {each.id: each for each in self.open().load_generation_records(RUN)}
        assert loaded == {f"s-{number}": _answers(f"s-{number}")[3] for number in range(24)}

    def test_the_rule_holds_for_evaluations_across_sessions(self) -> None:
        """As with generations."""
        self.needs_all_promises(ONE_OF_EVALUATIONS)
        for session in range(4):
            backend = self.open()
            for number, order in enumerate(permutations(range(4))):
                backend.save_evaluation_record(RUN, _scores(f"s-{number}")[order[session]])
            backend.close()
        loaded = self.open().load_evaluation_records(RUN)
        assert loaded == {f"s-{number}": _scores(f"s-{number}")[3] for number in range(24)}

    def test_of_equal_records_the_later_counts(self) -> None:
        """Within one opening, and from one to the next."""
        first, second = self.open(), self.open()
        for backend, response in ((first, "a"), (first, "b"), (second, "c"), (first, "d"), (second, "e")):
            backend.save_generation_record(RUN, generation("s", response=response))
            backend.save_evaluation_record(RUN, evaluation("s", details={"said": response}))
            backend.close()
            reader = self.open()
            assert [each.response for each in reader.load_generation_records(RUN)] == [response]
            assert [each.response for each in reader.iter_generation_records(RUN)] == [response]
            assert reader.load_evaluation_records(RUN)["s"].details == {"said": response}

    def test_identities_do_not_mix(self) -> None:
        """An epoch is an identity of its own; an evaluation is known by its cache key, not its id."""
        backend = self.open()
        for key in ("s", "s#2", "s#10"):
            backend.save_generation_record(RUN, generation(key))
            backend.save_evaluation_record(RUN, evaluation(f"key of {key}", id="s"))
        backend.save_generation_record("run-2", generation("s", response="another run"))
        assert sorted(each.id for each in backend.load_generation_records(RUN)) == ["s", "s#10", "s#2"]
        assert len(backend.load_evaluation_records(RUN)) == 3
        assert [each.response for each in backend.load_generation_records("run-2")] == ["another run"]

    def test_saving_twice_is_saving_once(self) -> None:
        """A caller that does not know whether a save arrived may repeat it."""
        backend = self.open()
        report = ExperimentReport(run_id=RUN)
        for each in (backend, backend, self.open()):
            each.save_run_metadata(RUN, full_metadata(RUN))
            each.save_generation_records(RUN, [generation("a"), generation("b"), generation("a")])
            each.save_evaluation_records(RUN, [evaluation("a"), evaluation("b"), evaluation("a")])
            each.save_report(RUN, report)
            each.flush()
        reader = self.open()
        assert sorted(each.id for each in reader.load_generation_records(RUN)) == ["a", "b"]
        assert sorted(each.id for each in reader.iter_generation_records(RUN)) == ["a", "b"]
        assert reader.load_evaluation_records(RUN) == {"a": evaluation("a"), "b": evaluation("b")}
        assert reader.load_run_metadata(RUN) == full_metadata(RUN)
        assert reader.load_report(RUN) == report
        assert reader.list_runs() == [RUN]

    def test_deleting_twice_and_deleting_the_unknown_do_nothing(self) -> None:
        """Deleting is done when nothing is left, whoever did it."""
        backend = self.open()
        backend.delete_run("never-was")
        backend.save_run_metadata(RUN, full_metadata(RUN))
        backend.save_generation_record(RUN, generation("a"))
        backend.save_generation_record("other", generation("b"))
        backend.flush()
        for deleter in (backend, backend, self.open()):
            deleter.delete_run(RUN)
            assert not deleter.run_exists(RUN)
            assert deleter.list_runs() == ["other"]
        assert backend.load_generation_records("other") == [generation("b")]

    def test_a_deleted_run_leaves_nothing_to_one_of_the_same_name(self) -> None:
        """Records, report and metadata of the old run never show in the new one."""
        backend = self.open()
        for response in ("old", "new"):
            backend.save_run_metadata(RUN, {"run_id": RUN, "status": response})
            backend.save_generation_record(RUN, generation(response, response=response))
            backend.save_evaluation_record(RUN, evaluation(response))
            if response == "old":
                backend.save_report(RUN, ExperimentReport(run_id=RUN))
                backend.delete_run(RUN)
                assert backend.load_generation_records(RUN) == []
        assert [each.id for each in backend.load_generation_records(RUN)] == ["new"]
        assert list(backend.load_evaluation_records(RUN)) == ["new"]
        assert backend.load_run_metadata(RUN) == {"run_id": RUN, "status": "new"}
        try:
            backend.load_report(RUN)
        except FileNotFoundError:
            return
        raise AssertionError("the report of the deleted run is still there")
