"""Many samples in one go: the function that an executor spreads, for models that answer many prompts."""

from __future__ import annotations

import time

from themis.core.entities import GenerationRecord
from themis.core.errors import ModelError
from themis.evaluation.stop import stop_of
from themis.evaluation.task import AwaitedSampleTask, Outcome, SampleTask, Work, checked
from themis.models.base import Answer, Model, Request


class BatchedSampleTask(SampleTask):
    """Also offers ``batch``, for executors that gather what a model can answer in one go."""

    def batch(self, works: list[Work]) -> list[Outcome]:
        """As called with each, but the model is asked once."""
        outcomes: dict[int, Outcome] = {}
        asked: list[tuple[int, Request]] = []
        stop = stop_of(self.token)
        started = time.time()
        for place, work in enumerate(works):
            if (stop is not None and stop.is_set()) or work.answered is not None:
                outcomes[place] = self(work)
                continue
            request = self._request(work, stop, started)
            if isinstance(request, GenerationRecord):
                outcomes[place] = self._scored(work, request, None)
            else:
                asked.append((place, request))
        clock = time.perf_counter()
        answers = self._answers([request for _, request in asked])
        for (place, request), answer in zip(asked, answers, strict=True):
            outcomes[place] = self._concluded(works[place], request, answer, started, clock)
        return [outcomes[place] for place in range(len(works))]

    def _answers(self, requests: list[Request]) -> list[Answer | BaseException]:
        try:
            answers = self.model.answer_batch(requests) if requests else []
            if len(answers) != len(requests):
                given = f"{len(answers)} answers for {len(requests)} prompts"
                raise ModelError(f"The model gave {given}.", kind="bad_response")
            return list(answers)
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as exc:  # whatever a model raises is these samples' error, not the run's
            return [exc] * len(requests)

    def _concluded(
        self, work: Work, request: Request, answer: Answer | BaseException, started: float, clock: float
    ) -> Outcome:
        try:
            if isinstance(answer, BaseException):
                raise answer
            generation = self._answered(work, request, checked(answer), started, clock)
        except BaseException as exc:  # as above
            unanswered, fatal = self._unanswered(work, request, exc, started, clock)
            if unanswered is None:
                return Outcome(work.id, None, None, fatal)
            return self._scored(work, unanswered, fatal)
        return self._scored(work, generation, None)


class BatchedAwaitedSampleTask(BatchedSampleTask, AwaitedSampleTask):
    """Offers all three."""


def task_class(model: Model, *, judging: bool) -> type[SampleTask]:
    """What asks a model in every way that it can be asked. Where judges are asked too, not in batches: they
    would be asked one after another."""
    if model.batches and not judging:
        return BatchedAwaitedSampleTask if model.awaits else BatchedSampleTask
    return AwaitedSampleTask if model.awaits else SampleTask
