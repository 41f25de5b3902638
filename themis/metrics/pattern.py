"""What a pattern of one's own finds in an answer."""

from __future__ import annotations

from collections import deque
from typing import Any

import regex

from themis.core.errors import UsageError
from themis.metrics.base import Metric, Score
from themis.metrics.text import NO_REFERENCE, normalised

MOST_SECONDS = 0.2
"""After which a pattern is given up."""


class RegexMatch(Metric):
    """1 if what ``pattern`` extracts equals the reference; without a group in it, if it is found at all.

    The pattern is searched, in the syntax of Python (and of the package ``regex``, whose searches end in
    time: some patterns would take years over some answers, and such an answer gets no score). The last
    match counts, as answers come at the end; with ``first`` the first. What is compared is ``group``, a
    number or a name: by default the first that took part in the match; 0 is the whole match. It equals the
    reference, or one of several, as in ExactMatch: in any case and spacing.
    """

    name = "RegexMatch"
    version = "2"

    def __init__(
        self, pattern: str, group: str | None = None, ignore_case: bool = False, first: bool = False
    ) -> None:
        self.pattern, self.group, self.ignore_case, self.first = pattern, group, ignore_case, first
        try:
            self._compiled = regex.compile(pattern, regex.IGNORECASE if ignore_case else 0)
        except (regex.error, RecursionError, OverflowError, ValueError) as exc:
            raise UsageError(f"RegexMatch: the pattern {pattern!r:.200} cannot be read: {exc}") from None
        self._group = self._checked_group()

    @property
    def params(self) -> dict[str, Any]:
        params = {"pattern": self.pattern, "ignore_case": self.ignore_case, "first": self.first}
        return params if self.group is None else {**params, "group": self.group}

    def score(self, response: str, reference: Any) -> Score:
        compares = self._group is not None or self._compiled.groups > 0
        if compares and reference is None:
            return Score(None, NO_REFERENCE)
        try:
            found = self._found(response)
        except TimeoutError:
            return Score(None, f"the pattern found no end within {MOST_SECONDS:g} s")
        if found is None:
            return Score(0, "no match")
        if not compares:
            return Score(1, found[0])
        extracted = self._extracted(found)
        if extracted is None:
            return Score(0, "the group took no part in the match")
        wanted = reference if isinstance(reference, list) else [reference]
        answer = normalised(extracted)
        return Score(int(any(answer == normalised(str(each)) for each in wanted)), extracted)

    def _found(self, response: str) -> Any:
        # The time counts for all matches together; meanwhile other threads go on.
        matches = self._compiled.finditer(response, concurrent=True, timeout=MOST_SECONDS)
        return next(matches if self.first else iter(deque(matches, maxlen=1)), None)

    def _extracted(self, found: Any) -> str | None:
        if self._group is not None:
            text: str | None = found[self._group]
            return text
        return next((text for text in found.groups() if text is not None), None)

    def _checked_group(self) -> int | str | None:
        if self.group is None:
            return None
        group = int(self.group) if str(self.group).isdecimal() else str(self.group)
        there = [*range(self._compiled.groups + 1), *self._compiled.groupindex]
        if group not in there:
            raise UsageError(
                f"RegexMatch: the pattern has no group {group!r}. It has: {', '.join(map(str, there))}."
            )
        return group
