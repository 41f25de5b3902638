"""What a compatible server said, read leniently: an answer, or the error it is.

Servers differ in nearly everything that the protocol leaves open. What is missing is unknown, what is more is
passed over, and an error is one in whatever status it comes.
"""

from __future__ import annotations

import functools
import json
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import quote

from themis.core.errors import ModelError
from themis.models.base import Answer

MOST_QUOTED = 500
"""Characters of a server's error kept in ours."""
MOST_LISTED = 8
"""Models named where the one that is wanted is not among them."""
MOST_RETRY_AFTER_S = 86_400.0
MOST_COST = 1e9

_KINDS = {
    400: "bad_request",
    401: "auth",
    402: "quota",
    403: "auth",
    404: "not_found",
    408: "timeout",
    413: "too_large",
    504: "timeout",
}
_NO_QUOTA = ("insufficient_quota", "billing_hard_limit_reached")
_FILTERED = "content_filter"
_CODES = {
    **dict.fromkeys(_NO_QUOTA, "quota"),
    "invalid_api_key": "auth",
    "model_not_found": "not_found",
    "rate_limit_exceeded": "rate_limit",
    "server_error": "server",
    "overloaded_error": "server",
    _FILTERED: "filtered",
}
"""Error codes that are words."""
_UNREADABLE = (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError)
"""What reading a body that is not as it should be may raise."""
_RESETS = ("requests", "tokens")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


class Reply(NamedTuple):
    """An HTTP response that was read to its end."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    key: str | None
    """What must not be quoted: servers send back the key that they refuse."""

    def answer(self) -> Answer:
        """What the model said. Raises :class:`ModelError` for anything else."""
        body = self._body()
        try:
            return self._of_choice(body["choices"][0], body, body.get("usage"))
        except _UNREADABLE:
            raise self._unreadable() from None

    def answers(self, count: int) -> list[Answer | ModelError]:
        """What the model said to each of ``count`` prompts that were asked in one request.

        Servers tell the tokens of all of them in one sum: each has an equal share, so that sums are right.
        Some tell those of one prompt only, which is less than there are words: then they are unknown.
        Raises :class:`ModelError` where not each has its answer.
        """
        body = self._body()
        try:
            choices = {int(choice["index"]): choice for choice in body["choices"]}
            each = len(choices) // count
            if not each or sorted(choices) != list(range(count * each)):
                said = f"The server gave {len(choices)} answers for {count} prompts."
                raise ModelError(said, kind="bad_response", status=200)
            words = sum(len(str(choice.get("text")).split()) for choice in choices.values())
            usage = _parts(body.get("usage"), count, words)
            return [self._or_error(choices[each * place], body, usage[place]) for place in range(count)]
        except _UNREADABLE:
            raise self._unreadable() from None

    def _body(self) -> dict[str, Any]:
        if self.status != 200:
            raise self._refusal()
        try:
            body: dict[str, Any] = json.loads(self.content)
            error = self._error_in(body)
        except _UNREADABLE:
            raise self._unreadable() from None
        if error is not None:
            raise error
        return body

    def _or_error(self, choice: Any, body: dict[str, Any], usage: Any) -> Answer | ModelError:
        try:
            return self._of_choice(choice, body, usage)
        except ModelError as exc:
            return exc

    def _of_choice(self, choice: Any, body: dict[str, Any], usage: Any) -> Answer:
        message = choice.get("message") or {}
        text = _text(message.get("content") if "text" not in choice else choice["text"])
        more = _more(message, body)
        finish = _word(choice.get("finish_reason"))
        if text is None:
            if finish is None:
                raise ModelError(
                    "The server answered without text or reason.",
                    kind="empty",
                    status=200,
                    usage=_usage(usage),
                )
            text = ""
        answer = Answer(
            self._without_key(text), finish, _word(body.get("model")), _usage(usage), _cost(usage)
        )
        answer.metadata = more
        return answer

    def _unreadable(self) -> ModelError:
        said = f"The server's answer cannot be read: {self._quoted()}"
        return ModelError(said, kind="bad_response", status=200)

    def refusal(self) -> str:
        """What it said instead of an answer, in words."""
        return str(self._refusal())

    def models(self, wanted: str) -> str:
        """What it says of its models, in words: whether it lists the one that is wanted."""
        try:
            names = [str(each["id"]) for each in json.loads(self.content)["data"]]
        except (ValueError, KeyError, TypeError, RecursionError):
            return "it gives no list of its models"
        if wanted in names:
            return f"it lists {wanted}"
        some = ", ".join(names[:MOST_LISTED]) + (", …" if len(names) > MOST_LISTED else "")
        return self._without_key(f"it does not list {wanted}; it has: {some or 'none'}")[:MOST_QUOTED]

    def _error_in(self, body: dict[str, Any]) -> ModelError | None:
        """An error that came with a good status."""
        choices = body.get("choices")
        error = body.get("error")
        if choices:
            first = choices[0]
            said = (first.get("message") or {}).get("content") or first.get("text")
            error = None if said else first.get("error")
        if not error:
            return None
        code = error.get("code") if isinstance(error, dict) else None
        said = self._without_key(error if isinstance(error, str) else json.dumps(error))[:MOST_QUOTED]
        status = int(code) if isinstance(code, (int, str)) and re.fullmatch(r"[45]\d\d", str(code)) else None
        kind = kind_of(status, said) if status is not None else _CODES.get(str(code), "bad_response")
        text = f"The server answered with an error: {said}"
        return ModelError(text, kind=kind, status=200, retry_after=self._retry_after())

    def _refusal(self) -> ModelError:
        text = self._quoted()
        kind = kind_of(self.status, text)
        if 300 <= self.status < 400:
            place = self._without_key(str(self.headers.get("location")))[:MOST_QUOTED]
            text = f"it redirects to {place}, which is not followed"
        said = f"HTTP {self.status}: {text}"
        return ModelError(said, kind=kind, status=self.status, retry_after=self._retry_after())

    def _quoted(self) -> str:
        return self._without_key(self.content.decode("utf-8", "replace"))[:MOST_QUOTED]

    def _without_key(self, text: str) -> str:
        return without_key(text, self.key)

    def _retry_after(self) -> float | None:
        return retry_after_of(self.headers, self.status)


def without_key(text: str, key: str | None) -> str:
    """A server's text, fit to be stored and shown: it may quote the key that it was sent."""
    # Before it is cut: a part of a key is not found any more.
    for form in _forms(key) if key is not None else ():
        text = text.replace(form, "…")
    return text


@functools.lru_cache(maxsize=16)
def _forms(key: str) -> frozenset[str]:
    """The ways in which servers write a key down: plain, in JSON, in JSON of PHP, in an address."""
    escaped = json.dumps(key)[1:-1]
    return frozenset({key, escaped, escaped.replace("/", "\\/"), quote(key, safe=""), quote(key)})


def retry_after_of(headers: Mapping[str, str], status: int | None) -> float | None:
    """Seconds that a server asks to wait: said plainly, as a date, or by when its limits are reset."""
    told: float | None = _number(headers.get("retry-after-ms"), 0.001)
    if told is None:
        told = _number(headers.get("retry-after"))
    if told is None:
        told = _until(headers.get("retry-after", ""))
    if told is None and status == 429:
        used_up = [name for name in _RESETS if headers.get(f"x-ratelimit-remaining-{name}") == "0"]
        resets = [_duration(headers.get(f"x-ratelimit-reset-{name}", "")) for name in used_up]
        told = max((each for each in resets if each is not None), default=None)
    return told if told is not None and 0 <= told < MOST_RETRY_AFTER_S else None


def kind_of(status: int, text: str) -> str:
    """The error kind of a status, and of what was said with it."""
    if status == 429:
        return "quota" if any(word in text for word in _NO_QUOTA) else "rate_limit"
    if status == 400 and _FILTERED in text:
        return "filtered"
    return _KINDS.get(status, "server" if status >= 500 else "bad_request")


def _text(content: Any) -> str | None:
    """The words of an answer: a text, or parts of which some are text."""
    if isinstance(content, list):
        return "".join(part["text"] for part in content if isinstance(part.get("text"), str))
    return None if content is None else str(content)


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _usage(usage: Any) -> dict[str, Any] | None:
    if not isinstance(usage, dict):
        return None
    return {
        "input_tokens": _count(usage, "prompt_tokens"),
        "output_tokens": _count(usage, "completion_tokens"),
        "cached_tokens": _count(usage.get("prompt_tokens_details"), "cached_tokens"),
        "reasoning_tokens": _count(usage.get("completion_tokens_details"), "reasoning_tokens"),
    }


def _parts(usage: Any, count: int, words: int) -> list[Any]:
    """The usage of each of ``count`` prompts: equal shares of the sum, the first ones larger by the rest.

    Unknown if the sum is less than the ``words`` that were answered: a word is a token at least.
    """
    if not isinstance(usage, dict) or (_count(usage, "completion_tokens") or words) < words:
        return [None] * count

    def part(counts: dict[str, Any], place: int) -> dict[str, Any]:
        return {
            name: part(value, place)
            if isinstance(value, dict)
            else value // count + (place < value % count)
            if type(value) is int
            else value / count
            if type(value) is float
            else value
            for name, value in counts.items()
        }

    return [part(usage, place) for place in range(count)]


def _count(counts: Any, name: str) -> int | None:
    count = counts.get(name) if isinstance(counts, dict) else None
    return count if type(count) is int and count >= 0 else None


def _cost(usage: Any) -> float | None:
    # Some servers say what an answer cost.
    cost: Any = usage.get("cost") if isinstance(usage, dict) else None
    return float(cost) if type(cost) in (int, float) and 0 <= cost < MOST_COST else None


def _more(message: dict[str, Any], body: dict[str, Any]) -> dict[str, Any] | None:
    """What is worth keeping beside the answer: how it was reasoned, and by which build of the model."""
    reasoning = _word(message.get("reasoning_content")) or _word(message.get("reasoning"))
    build = _word(body.get("system_fingerprint"))
    kept = {"reasoning": reasoning, "system_fingerprint": build}
    return {name: value for name, value in kept.items() if value} or None


def _number(value: str | None, unit: float = 1.0) -> float | None:
    try:
        return None if value is None else float(value) * unit
    except ValueError:
        return None


def _until(date: str) -> float | None:
    try:
        return max(0.0, parsedate_to_datetime(date).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _duration(text: str) -> float | None:
    """Seconds of a text such as ``6m0s`` or ``120ms``."""
    parts = _DURATION.findall(text)
    if not parts or "".join(map("".join, parts)) != text:
        return None
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)
