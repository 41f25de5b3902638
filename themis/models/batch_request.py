"""Many prompts in one request to a server, and what came back for each."""

from __future__ import annotations

from dataclasses import dataclass, field

from themis.core.errors import ModelError
from themis.models.base import REFUSALS, Answer, Request
from themis.models.retry import AGAIN

MOST_DOUBTS = 3
"""Lists in a row that failed though each of their prompts was answered alone, after which none is sent."""


@dataclass(slots=True)
class BatchAnswer(Answer):
    """The answers to one request, as one to the layer that asks again."""

    answers: list[Answer | ModelError] = field(default_factory=list)

    @classmethod
    def of(cls, answers: list[Answer | ModelError]) -> BatchAnswer:
        """These answers."""
        return cls("", answers=answers)


class BatchSupport:
    """Whether a server is believed to answer a list of prompts; not all that speak the protocol do."""

    def __init__(self) -> None:
        self._doubts = 0

    @property
    def believed(self) -> bool:
        """Whether to send another list."""
        return self._doubts < MOST_DOUBTS

    @staticmethod
    def may_be_to_blame(failure: ModelError) -> bool:
        """Whether prompts may be answered one by one after such a failure of all of them."""
        return failure.fatal is None and failure.kind not in AGAIN | REFUSALS | {"interrupted"}

    def worked(self) -> None:
        """A list was answered."""
        self._doubts = 0

    def failed(self, alone: list[Answer | BaseException]) -> None:
        """A list was refused; these came of its prompts alone."""
        if any(isinstance(each, BaseException) for each in alone):
            return  # one of them spoilt it for all
        self._doubts += 1


def alike(requests: list[Request]) -> list[list[int]]:
    """The places of requests that can be made together: they differ in nothing but their prompts."""
    groups: list[tuple[Request, list[int]]] = []
    for place, request in enumerate(requests):
        for first, places in groups:
            if (request.seed, request.timeout, request.sampling) == (
                first.seed,
                first.timeout,
                first.sampling,
            ):
                places.append(place)
                break
        else:
            groups.append((request, [place]))
    return [places for _, places in groups]


def shared(answer: BatchAnswer) -> list[Answer | BaseException]:
    """The answer to each prompt; what was waited for all of them, each has waited."""
    answers: list[Answer | BaseException] = []
    for each in answer.answers:
        each.wait_s, each.retry_s = answer.wait_s, answer.retry_s
        if isinstance(each, Answer):
            each.metadata = {**(each.metadata or {}), "batch_size": len(answer.answers)}
        answers.append(each)
    return answers
