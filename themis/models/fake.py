"""A model without a network: good at arithmetic, fair at facts, poor at puzzles, always the same.

For demonstrations, tests and measurements. It reads the question at the end of the prompt. What it
can read as arithmetic it answers right, some facts it knows, and at anything else it guesses.
Latency and failures are options, so that a run on a bad day can be rehearsed.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable
from functools import lru_cache

from themis.core.errors import ModelError, UsageError
from themis.models.base import Answer, Model, Prompt, Request, pause

NAME = "fake-math-llm"

RETRY_AFTER_S = 0.05
LIMITED = frozenset({"rate_limit"})

READ_CHARACTERS = 2_000
"""How much of a prompt's end is read. The question stands there, and huge prompts cost no more."""

CACHED_QUESTIONS = 1_024

UNKNOWN = "I do not know"

DRAW_BYTES = 6
"""Few enough that a draw divided by ``DRAWS`` is below 1 as a float too."""
DRAWS = 256**DRAW_BYTES

KNOWN_FACTS = (
    ("sides does a hexagon", "6"),
    ("faces does a cube", "6"),
    ("degrees are there in a right angle", "90"),
    ("triangle add up", "180"),
    ("smallest prime", "2"),
    ("numeral xiv", "14"),
    ("days are there in a leap year", "366"),
    ("days are there in june", "30"),
    ("minutes are there in one hour", "60"),
    ("years are there in a century", "100"),
    ("grams are there in a kilogram", "1000"),
    ("inches are there in one foot", "12"),
    ("symbol for gold", "Au"),
    ("symbol for sodium", "Na"),
    ("symbol for iron", "Fe"),
    ("formula of water", "H2O"),
    ("closest to the sun", "Mercury"),
    ("capital of france", "Paris"),
    ("capital of japan", "Tokyo"),
    ("capital of italy", "Rome"),
    ("capital of norway", "Oslo"),
    ("continent does kenya", "Africa"),
    ("legs does a spider", "8"),
    ("letters are there in the modern english alphabet", "26"),
    ("standard deck", "52"),
    ("first walk on the moon", "1969"),
    ("play hamlet", "Shakespeare"),
)
"""Words of a question, in lower case, and what the model knows to answer."""

MISTAKEN_FACTS = (
    ("capital of canada", "Toronto"),
    ("capital of peru", "Cusco"),
    ("solar system is the largest", "Saturn"),
    ("symbol for tungsten", "Tu"),
    ("largest area", "Africa"),
)
"""What it answers wrong, and is sure of."""
FACTS = KNOWN_FACTS + MISTAKEN_FACTS


class FakeMathModel(Model):
    """The built-in ``fake-math-llm``.

    The answer depends on prompt, sample id, epoch and seeds alone; whether a call fails, on sample
    id, epoch, attempt, call and seeds. So what is asked again after a failure is answered as it would
    have been at once, and the order in which samples are asked does not matter. There are two
    seeds, this model's and the request's, and both count.

    A rate limit is asked again by the one retry layer, as with a real endpoint. A server's failure is
    not, so that a demonstration has errors to show.

    Tokens are counted as words between spaces: an approximation that is the same everywhere.
    """

    awaits = True

    def __init__(
        self,
        *,
        latency: float = 0.0,
        error_rate: float = 0.0,
        rate_limit_rate: float = 0.0,
        retry_after: float = RETRY_AFTER_S,
        seed: int = 0,
        accuracy: float | None = None,
    ) -> None:
        """Make one that takes ``latency`` seconds an answer.

        ``error_rate`` and ``rate_limit_rate`` are the shares of calls that fail as a server does
        and as a rate limit does; ``retry_after`` are the seconds that a limit asks to wait.
        ``accuracy`` is the share of what it knows that it still gets right.
        """
        self.name = NAME
        self.latency = _duration("latency", latency)
        self.error_rate = _share("error_rate", error_rate)
        self.rate_limit_rate = _share("rate_limit_rate", rate_limit_rate)
        self.retry_after = _duration("retry_after", retry_after)
        if self.error_rate + self.rate_limit_rate > 1:
            raise UsageError("error_rate and rate_limit_rate together are more than 1.")
        self.seed = seed
        self.accuracy = None if accuracy is None else _share("accuracy", accuracy)
        self.identity = self._identity()

    def answer(self, request: Request) -> Answer:
        """Answer, after the latency; or fail as the rates say.

        Failures are of kind ``server`` (status 500) and, once asking again has not helped, ``rate_limit``
        (status 429).
        """
        if not self.rate_limit_rate:
            return self._ask(request)
        from themis.models.retry import ask_again

        return ask_again(self._ask, request, again=LIMITED)

    async def answer_awaited(self, request: Request) -> Answer:
        if not self.rate_limit_rate:
            return await self._ask_awaited(request)
        from themis.models.retry import ask_again_awaited

        return await ask_again_awaited(self._ask_awaited, request, again=LIMITED)

    async def _ask_awaited(self, request: Request) -> Answer:
        import asyncio  # takes longer to load than a small run takes

        await asyncio.sleep(self.latency)
        return self._say_or_fail(request)

    def _ask(self, request: Request) -> Answer:
        if self.latency:
            pause(self.latency, request)
        return self._say_or_fail(request)

    def _say_or_fail(self, request: Request) -> Answer:
        if self.error_rate or self.rate_limit_rate:
            self._maybe_fail(request)
        text = prompt_text(request.prompt)
        said = self._say(text[-READ_CHARACTERS:], request)
        usage = {"input_tokens": len(text.split()), "output_tokens": len(said.split())}
        return Answer(said, finish_reason="stop", model=self.name, usage=usage)

    def _identity(self) -> str:
        options = []
        if self.accuracy is not None:
            options.append(f"accuracy={self.accuracy}")
        if self.seed:
            options.append(f"seed={self.seed}")
        return "?".join([self.name, "&".join(options)]) if options else self.name

    def _maybe_fail(self, request: Request) -> None:
        # One draw for both kinds, so that each has exactly its share.
        drawn = self._draw("failure", request, (request.attempt, request.call)) / DRAWS
        if drawn < self.error_rate:
            message = "The fake server failed, as asked by error_rate."
            raise ModelError(message, kind="server", status=500)
        if drawn < self.error_rate + self.rate_limit_rate:
            message = "The fake server is busy, as asked by rate_limit_rate."
            raise ModelError(message, kind="rate_limit", status=429, retry_after=self.retry_after)

    def _say(self, text: str, request: Request) -> str:
        known = known_answer(text)
        if known is None:
            return _guess(last_question(text), self._draw("guess", request, text))
        if self.accuracy is not None:
            drawn = self._draw("accuracy", request, text)
            if drawn / DRAWS >= self.accuracy:
                return _slip(known, drawn)
        return known

    def _draw(self, purpose: str, request: Request, more: object) -> int:
        """A number below ``DRAWS`` that is the same in every process for the same arguments."""
        parts = (purpose, self.seed, request.seed, request.sample_id, request.epoch, more)
        # ascii() takes lone surrogates, which UTF-8 refuses, and is the same in every Python.
        key = ascii(parts).encode("ascii")
        return int.from_bytes(hashlib.blake2b(key, digest_size=DRAW_BYTES).digest(), "big")


def prompt_text(prompt: Prompt) -> str:
    """The words of a prompt: the text itself, or what the chat messages hold, one a line."""
    if isinstance(prompt, str):
        return prompt
    return "\n".join(_content_text(message.get("content")) for message in prompt)


def _content_text(content: object) -> str:
    """The text of a message, whose content may be a list of parts of which some are text."""
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return " ".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


@lru_cache(maxsize=CACHED_QUESTIONS)
def known_answer(text: str) -> str | None:
    """What the model answers without guessing, or None.

    The last question counts, so that solved examples before it are not mistaken for it; where it
    tells nothing, what follows its question mark does ("Can you work this out? 3 + 4").
    """
    found = _read(last_question(text).lower())
    if found is None and "?" in text:
        found = _read_expression(text[text.rindex("?") :].lower())
    return found


def _read(question: str) -> str | None:
    """The answer by the first way of reading that fits; only facts can do without digits."""
    for read in READERS if DIGIT.search(question) else (_read_fact,):
        if (found := read(question)) is not None:
            return found
    return None


def last_question(text: str) -> str:
    """The part of a text up to its last question mark that belongs to the last question."""
    end = text.rfind("?")
    if end < 0:
        return text
    start = text.rfind("?", 0, end) + 1
    if start == 0:
        return text[: end + 1]
    # Between two questions stands the answer to the first; a new line ends it.
    line = text.rfind("\n", start, end) + 1
    return text[max(start, line) : end + 1]


# Arithmetic

_WORDS = {"plus": "+", "minus": "-", "times": "*", "divided by": "/", "multiplied by": "*"}
_SIGNS = {"×": "*", "÷": "/", "−": "-"}
_SPELLINGS = _WORDS | _SIGNS

_OPERATOR = r"(?:[-+*/×÷−]|plus|minus|times|(?:divided|multiplied)\s+by)"
# No decimals: a part of "2.5" must not be read as a number of its own.
_INTEGER = r"(?<![\w.,])\d+(?!\w|[.,]\d)"
# Brackets are counted up to a bound, or a prompt of brackets alone would take quadratic time.
_OPERAND = rf"(?:\(\s*|-(?=[\d(])){{0,20}}{_INTEGER}(?:\s*\))*"
EXPRESSION = re.compile(rf"{_OPERAND}(?:\s*{_OPERATOR}\s*{_OPERAND})+")
TOKEN = re.compile(rf"\d+|[()]|{_OPERATOR}")
NAMED_OPERATION = re.compile(
    rf"(sum|difference|product|quotient) (?:of|between) ({_INTEGER}) and ({_INTEGER})"
)
INTEGER = re.compile(_INTEGER)
NUMERAL = re.compile(r"\d+(?:\.\d+)?")
DIGIT = re.compile(r"\d")

_NEGATE = "negate"
_PRECEDENCE = {"(": 0, "+": 1, "-": 1, "*": 2, "/": 2, _NEGATE: 3}

Number = int | float


def _read_expression(question: str) -> str | None:
    """The value of the last expression in the question."""
    found = EXPRESSION.findall(question)
    return calculate(found[-1]) if found else None


def _read_named_operation(question: str) -> str | None:
    """The value of a last "sum of 3 and 4" in the question."""
    found = NAMED_OPERATION.findall(question)
    if not found:
        return None
    name, left, right = found[-1]
    sign = {"sum": "+", "difference": "-", "product": "*", "quotient": "/"}[name]
    return calculate(f"{left} {sign} {right}")


def calculate(expression: str) -> str | None:
    """The value of an expression over integers, as one would write it; None if it is not one.

    A bracket without its partner is overlooked: it may belong to the sentence around.
    """
    try:
        return _written(_value(TOKEN.findall(expression)))
    except ZeroDivisionError:
        return "undefined"
    except (OverflowError, IndexError):
        return None


def _value(tokens: list[str]) -> Number:
    """Two stacks instead of recursion, so that no prompt is nested too deeply."""
    numbers: list[Number] = []
    operators: list[str] = []
    after_number = False
    for token in tokens:
        if token.isdigit():
            numbers.append(int(token))
            after_number = True
        elif token == "(":
            operators.append(token)
        elif token == ")":
            _apply_down_to(1, numbers, operators)
            if operators:
                operators.pop()
        elif after_number:
            operator = _symbol(token)
            _apply_down_to(_PRECEDENCE[operator], numbers, operators)
            operators.append(operator)
            after_number = False
        else:
            operators.append(_NEGATE)
    while operators:
        _apply(operators.pop(), numbers)
    return numbers[-1]


def _symbol(token: str) -> str:
    return _SPELLINGS.get(" ".join(token.split()), token)


def _apply_down_to(precedence: int, numbers: list[Number], operators: list[str]) -> None:
    """Apply the operators on top that bind at least as tightly."""
    while operators and _PRECEDENCE[operators[-1]] >= precedence:
        _apply(operators.pop(), numbers)


def _apply(operator: str, numbers: list[Number]) -> None:
    if operator == "(":
        return
    right = numbers.pop()
    if operator == _NEGATE:
        numbers.append(-right)
        return
    numbers.append(_OPERATIONS[operator](numbers.pop(), right))


def _divide(left: Number, right: Number) -> Number:
    """Exact where it can be, so that large integers stay integers."""
    exact = isinstance(left, int) and isinstance(right, int) and left % right == 0
    return left // right if exact else left / right


_OPERATIONS: dict[str, Callable[[Number, Number], Number]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": _divide,
}


def _written(value: Number) -> str:
    if isinstance(value, int):
        return str(value)
    rounded = round(value, 4)
    return str(int(rounded)) if rounded.is_integer() else str(rounded)


# Facts, comparisons and word problems


def _read_fact(question: str) -> str | None:
    """What the model holds for true about the question."""
    for words, answer in FACTS:
        if words in question:
            return answer
    return None


def _read_comparison(question: str) -> str | None:
    """The largest or smallest of the numbers in a question that asks for it."""
    choose = max if "large" in question else min if "small" in question else None
    numerals = NUMERAL.findall(question) if choose and "number" in question else []
    return str(choose(numerals, key=float)) if choose and len(numerals) > 1 else None


def _larger_over_smaller(numbers: list[int]) -> str | None:
    larger, smaller = max(numbers), min(numbers)
    return calculate(f"{larger} / {smaller}")


def _product(numbers: list[int]) -> str | None:
    return str(math.prod(numbers))


def _first_less_rest(numbers: list[int]) -> str | None:
    return str(numbers[0] - sum(numbers[1:]))


def _total(numbers: list[int]) -> str | None:
    return str(sum(numbers))


# The first cue decides: "shared ... each" is a division, and "each ... in all" a product.
WORD_PROBLEMS: tuple[tuple[re.Pattern[str], Callable[[list[int]], str | None]], ...] = (
    (re.compile(r"\bequal|\binto\b"), _larger_over_smaller),
    (re.compile(r"\beach\b|\bper\b|\bevery\b"), _product),
    (re.compile(r"\bleft\b|\bremain|\bolder\b|\bfewer\b"), _first_less_rest),
    (re.compile(r"\bnow\b|\baltogether\b|\bin all\b|\bin total\b"), _total),
)


def _read_word_problem(question: str) -> str | None:
    """The answer to a "how many" over at least two numbers, by the first cue in its words."""
    if "how many" not in question:
        return None
    numbers = [int(digits) for digits in INTEGER.findall(question)]
    if len(numbers) < 2:
        return None
    for cue, solve in WORD_PROBLEMS:
        if cue.search(question):
            return solve(numbers)
    return None


READERS = (
    _read_expression,
    _read_named_operation,
    _read_fact,
    _read_comparison,
    _read_word_problem,
)
"""All ways of reading a question, in lower case, the surest first."""

# Guesses and slips

PERSON = re.compile(r"\b(?!Who\b)[A-Z][a-z]+\b")


def _guess(question: str, drawn: int) -> str:
    """A small count, one of the people or numbers that the question names, or an admission."""
    if "how many" in question.lower():
        return str(drawn % 12 + 1)
    named = _named_choices(question)
    return named[drawn % len(named)] if named else UNKNOWN


def _named_choices(question: str) -> list[str]:
    if "Who " in question:
        return PERSON.findall(question)
    return NUMERAL.findall(question) if "number" in question else []


def _slip(known: str, drawn: int) -> str:
    """A wrong answer in place of a known one: a number close by, or none."""
    if known.lstrip("-").isdigit():
        return str(int(known) + drawn % 9 + 1)
    return UNKNOWN


# Options


def _share(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise UsageError(f"{name} is {value}; it is a share from 0 to 1.")
    return float(value)


def _duration(name: str, value: float) -> float:
    if not 0 <= value < math.inf:
        raise UsageError(f"{name} is {value}; it is a number of seconds, 0 or more.")
    return float(value)
