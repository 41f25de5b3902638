"""One sample, from question to scores: the function that an executor spreads."""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue
from threading import Event
from typing import Any, NamedTuple, Protocol, cast

from themis.benchmarks.prompts import PromptTemplate
from themis.benchmarks.sample import Sample
from themis.core.entities import EvaluationRecord, GenerationRecord
from themis.core.errors import BenchmarkError, ModelError, described
from themis.core.hashing import canonical_json, hash_text, quoted
from themis.evaluation.refused import refused_scores
from themis.evaluation.scoring import MOST_SCORE, Scorer, Scores, is_error
from themis.evaluation.stop import stop_of
from themis.metrics.base import Metric
from themis.models.base import STOP, Answer, Model, Prompt, Request

MOST_MESSAGE = 2_000
"""Characters kept of an error's message."""
MOST_KIND = 40


class Work(NamedTuple):
    """One thing to do: ask a sample in an epoch, or score an answer that was stored before."""

    id: str
    sample: Sample
    epoch: int
    attempt: int
    answered: GenerationRecord | None
    """The stored answer that only lacks its scores."""
    queued_at: float
    revision: int = 1
    """Of the evaluation to be made: more than that of incomplete scores which it takes the place of."""


class Outcome(NamedTuple):
    """What came of one piece of work. Both records are ``None`` if the run ended before it was asked."""

    id: str
    generation: GenerationRecord | None
    """A new generation to save; ``None`` if a stored one was scored."""
    evaluation: EvaluationRecord | None
    fatal: str | None = None
    """Why no other sample will be answered either, where the model knows; the run pauses with it."""
    left: str | None = None
    """Why it was left as it is, where that is not the end of the run."""


class Task(Protocol):
    """What an executor spreads: called with a piece of work, it gives the outcome, and never raises.

    It may also offer ``acall``, see :class:`AwaitedSampleTask`, and ``batch``, see
    :mod:`themis.evaluation.batched_task`.
    """

    def __call__(self, work: Any) -> Outcome:
        """The outcome of one piece of work."""

    def failed(self, work: Any, kind: str, message: str) -> Outcome:
        """The outcome of work that its executor gave up."""

    def refused_scores(self, evaluation: EvaluationRecord) -> EvaluationRecord:
        """What is to be stored in place of an evaluation that the store would not take."""


class SampleTask:
    """Renders, asks and scores. It never raises, pickles, and holds no lock, socket or storage.

    Called with a :class:`Work`, it gives an :class:`Outcome` that names its sample.
    """

    def __init__(
        self,
        *,
        model: Model,
        template: PromptTemplate,
        metrics: list[Metric],
        sampling: dict[str, Any],
        seed: int | None,
        timeout: float | None,
        token: str,
        own_deadline: bool = False,
    ) -> None:
        """``own_deadline``: the executor keeps none, so that work must not outlast ``timeout`` by itself."""
        self.model = model
        self.template = template
        self.sampling = sampling
        self.seed = seed
        self.timeout = timeout
        self.token = token
        self.own_deadline = own_deadline and timeout is not None
        self._key_tail = f"{quoted(model.identity)},{canonical_json(sampling)}]"
        self.scorer = Scorer(metrics)

    @property
    def secrets(self) -> tuple[str, ...]:
        """References to the secrets that are read where it is called."""
        return (*self.model.secrets, *self.scorer.secrets)

    def __call__(self, work: Work) -> Outcome:
        """Ask and score one piece of work, unless the run was stopped."""
        stop = stop_of(self.token)
        if stop is not None and stop.is_set():
            return Outcome(work.id, None, None)
        if self.scorer.judges:
            STOP.set(stop)
        if work.answered is not None:
            return self._scored(work, work.answered, None, work.revision)
        generation, fatal = self._asked(work, stop)
        if generation is None:
            return Outcome(work.id, None, None, fatal)
        return self._scored(work, generation, fatal)

    def failed(self, work: Work, kind: str, message: str) -> Outcome:
        """The outcome of work that its executor gave up: past its deadline, or its worker lost."""
        prompt: Prompt
        try:
            prompt = self.template.render(work.sample.fields)
        except BenchmarkError:
            prompt = ""
        error = {"kind": kind, "stage": "call", "message": message, "status": None, "calls": 1}
        spent = self.timeout if kind == "timeout" else None
        generation = self._record(work, prompt, None, error, work.queued_at, spent)
        return self._scored(work, generation, None)

    def refused_scores(self, evaluation: EvaluationRecord) -> EvaluationRecord:
        """An error, as nothing is known of what the store minds."""
        return refused_scores(evaluation)

    def _asked(self, work: Work, stop: Event | None) -> tuple[GenerationRecord | None, str | None]:
        started = time.time()
        request = self._request(work, stop, started)
        if isinstance(request, GenerationRecord):
            return request, None
        clock = time.perf_counter()
        try:
            in_time = self.own_deadline and not self.model.keeps_time
            answer = checked(_in_time(self.model, request) if in_time else self.model.answer(request))
            if self._is_late(clock):
                raise _late(request)
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as exc:  # whatever a model raises is this sample's error, not the run's
            return self._unanswered(work, request, exc, started, clock)
        return self._answered(work, request, answer, started, clock), None

    def _request(self, work: Work, stop: Event | None, started: float) -> Request | GenerationRecord:
        try:
            prompt = self.template.render(work.sample.fields)
        except BenchmarkError as exc:
            return self._record(work, "", None, _error("template", "render", exc), started, None)
        epoch = work.epoch
        seed = None if self.seed is None else self.seed + epoch - 1
        return Request(
            prompt, self.sampling, work.sample.id, epoch, work.attempt, 1, seed, self.timeout, stop
        )

    def _answered(
        self, work: Work, request: Request, answer: Answer, started: float, clock: float
    ) -> GenerationRecord:
        waited, retried = answer.wait_s, answer.retry_s
        spent = time.perf_counter() - clock - waited - retried
        return self._record(work, request.prompt, answer, None, started, spent, waited, retried)

    def _unanswered(
        self, work: Work, request: Request, exc: BaseException, started: float, clock: float
    ) -> tuple[GenerationRecord | None, str | None]:
        """The record of an error, and whether it is fatal for the run; no record if it was not asked."""
        spent = time.perf_counter() - clock
        if not isinstance(exc, ModelError):
            error = _error("model", "call", exc)
            return self._record(work, request.prompt, None, error, started, spent), None
        stopped = request.stop is None or request.stop.is_set()
        if (exc.kind == "interrupted" and stopped) or (exc.fatal is not None and not exc.calls):
            return None, exc.fatal
        error = _error(exc.kind, "call", exc, exc.status, exc.calls)
        waited, retried = exc.wait_s, exc.retry_s
        spent -= waited + retried
        record = self._record(work, request.prompt, None, error, started, spent, waited, retried)
        record.usage = exc.usage
        return record, exc.fatal

    def _record(
        self,
        work: Work,
        prompt: Prompt,
        answer: Answer | None,
        error: dict[str, Any] | None,
        started: float,
        spent: float | None,
        waited: float = 0.0,
        retried: float = 0.0,
    ) -> GenerationRecord:
        sample, epoch = work.sample, work.epoch
        prompt_json = quoted(prompt) if isinstance(prompt, str) else canonical_json(prompt)
        timing = {
            "started_at": started,
            "queue_s": max(0.0, started - work.queued_at),
            "wait_s": waited,
            "model_s": spent,
        }
        if retried:
            timing["retry_s"] = retried
        return GenerationRecord(
            work.id,
            prompt,
            answer.text if answer is not None else None,
            (answer.metadata if answer is not None else None) or {},
            sample.id,
            epoch,
            sample.hash,
            hash_text(f"[{quoted(sample.id)},{epoch},{prompt_json},{self._key_tail}"),
            work.attempt,
            error,
            answer.finish_reason if answer is not None else None,
            answer.model if answer is not None else None,
            answer.usage if answer is not None else None,
            answer.cost if answer is not None else None,
            timing,
        )

    def _is_late(self, clock: float) -> bool:
        # The executor's deadline leaves time for judges too, so a model that takes it is not seen there.
        return (
            self.scorer.judges
            and self.timeout is not None
            and not self.model.keeps_time
            and time.perf_counter() - clock > self.timeout
        )

    def _scored(
        self, work: Work, generation: GenerationRecord, fatal: str | None, revision: int = 1
    ) -> Outcome:
        scores = None
        if not is_error(generation):
            scores = self.scorer.scores(generation, work.sample.reference)
        return self._outcome(work, generation, scores, fatal, revision)

    def _outcome(
        self,
        work: Work,
        generation: GenerationRecord,
        scores: Scores | None,
        fatal: str | None,
        revision: int,
    ) -> Outcome:
        new = None if generation is work.answered else generation
        failure = None if scores is None else scores.failure
        if failure is None:
            return Outcome(work.id, new, self.scorer.record(generation, work.sample, scores, revision), fatal)
        fatal = fatal or failure.fatal
        if not failure.calls or failure.kind == "interrupted":
            return Outcome(work.id, new, None, fatal)  # the answer is kept; a resume scores it
        return Outcome(work.id, new, self.scorer.record(generation, work.sample, scores, revision), fatal)


class AwaitedSampleTask(SampleTask):
    """Also offers ``acall``, for executors that can wait for many answers on one event loop."""

    async def acall(self, work: Work) -> Outcome:
        """As called, but the model is awaited."""
        stop = stop_of(self.token)
        if stop is not None and stop.is_set():
            return Outcome(work.id, None, None)
        if self.scorer.judges:
            STOP.set(stop)
        if work.answered is not None:
            return await self._scored_awaited(work, work.answered, None, work.revision)
        started = time.time()
        request = self._request(work, stop, started)
        generation: GenerationRecord | None
        fatal = None
        if isinstance(request, GenerationRecord):
            generation = request
        else:
            clock = time.perf_counter()
            try:
                answer = checked(await self._answer_awaited(request))
            except (KeyboardInterrupt, GeneratorExit):
                raise
            except BaseException as exc:  # as above
                if _is_cancelled(exc):
                    raise
                generation, fatal = self._unanswered(work, request, exc, started, clock)
            else:
                generation = self._answered(work, request, answer, started, clock)
        if generation is None:
            return Outcome(work.id, None, None, fatal)
        return await self._scored_awaited(work, generation, fatal)

    async def _scored_awaited(
        self, work: Work, generation: GenerationRecord, fatal: str | None, revision: int = 1
    ) -> Outcome:
        scores = None
        if not is_error(generation):
            scores = await self.scorer.scores_awaited(generation, work.sample.reference)
        return self._outcome(work, generation, scores, fatal, revision)

    async def _answer_awaited(self, request: Request) -> Answer:
        if self.model.keeps_time or not (self.own_deadline or self.scorer.judges):
            return await self.model.answer_awaited(request)
        import asyncio  # as below

        try:
            async with asyncio.timeout(request.timeout) as limit:
                return await self.model.answer_awaited(request)
        except TimeoutError:
            if not limit.expired():
                raise  # the model's own
            raise _late(request) from None


def _in_time(model: Model, request: Request) -> Answer:
    """The model's answer, or ``timeout``: the thread that still waits for it is left behind."""
    done: SimpleQueue[tuple[Answer | None, BaseException | None]] = SimpleQueue()

    def ask() -> None:
        try:
            done.put((model.answer(request), None))
        except BaseException as exc:  # raised again where the answer is waited for
            done.put((None, exc))

    threading.Thread(target=ask, name="themis-answer", daemon=True).start()
    try:
        answer, error = done.get(timeout=min(request.timeout or threading.TIMEOUT_MAX, threading.TIMEOUT_MAX))
    except Empty:
        raise _late(request) from None
    if error is not None:
        raise error
    return cast(Answer, answer)


def _late(request: Request) -> ModelError:
    return ModelError(f"no result within {request.timeout:g} s", kind="timeout")


def _is_cancelled(exc: BaseException) -> bool:
    import asyncio  # loaded long ago if this was awaited, and needed by nothing else here

    return isinstance(exc, asyncio.CancelledError)


def checked(answer: Any) -> Answer:
    """An answer that can be recorded and summed. Raises :class:`ModelError` for what a model may not give."""
    if type(answer) is not Answer or type(answer.text) is not str:
        if not isinstance(answer, Answer) or not isinstance(answer.text, str):
            given = answer.text if isinstance(answer, Answer) else answer
            raise ModelError(f"The model gave a {type(given).__name__}, not text.", kind="bad_response")
        answer.text = str.__str__(answer.text)
    usage, cost, waited = answer.usage, answer.cost, answer.wait_s
    if usage is not None and type(usage) is not dict:
        raise ModelError(f"The answer's usage is a {type(usage).__name__}, not a dict.", kind="bad_response")
    if cost is not None and (type(cost) not in (float, int) or not 0 <= cost <= MOST_SCORE):
        raise ModelError(f"The answer's cost is {cost!r:.100}, not an amount.", kind="bad_response")
    if type(waited) not in (float, int) or type(answer.retry_s) not in (float, int):
        raise ModelError(f"The answer's wait_s is {waited!r:.100}, not seconds.", kind="bad_response")
    return answer


def _error(
    kind: Any, stage: str, exc: BaseException, status: int | None = None, calls: int = 1
) -> dict[str, Any]:
    return {
        "kind": str(kind)[:MOST_KIND],
        "stage": stage,
        "message": described(exc)[:MOST_MESSAGE],
        "status": status,
        "calls": calls,
    }
