"""Compares mathematics in a process of its own, which imports nothing of ours: run by its path.

A line of JSON in, ``[answer, [reference, …]]``; a line out, what came of it. A comparison may never end, or
build numbers that fill the machine, and neither can be broken off inside Python. So the operating system ends
this process at its deadline, and it gets no more memory than it says here.
"""

from __future__ import annotations

import json
import logging
import resource
import signal
import sys
from typing import Any

MOST_MEMORY = 2 << 30
"""Bytes of address space."""


def main(seconds: float) -> None:
    """Answer lines until there are no more, or one takes more than ``seconds``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that asks
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    allowed = MOST_MEMORY if most == resource.RLIM_INFINITY else min(MOST_MEMORY, most)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (allowed, most))
    except (ValueError, OSError):  # macOS sets none
        pass
    logging.disable()
    import math_verify  # takes a second, which no deadline should count

    print(flush=True)
    for line in sys.stdin:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        said = _said(math_verify, *json.loads(line))
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(json.dumps(said), flush=True)


def _said(math_verify: Any, answer: str, references: list[str]) -> dict[str, Any]:
    try:
        found = math_verify.parse(answer, parsing_timeout=None)
    except MemoryError:
        return {"failed": "too little memory"}
    except Exception as exc:  # a text that the parser does not take is not mathematics
        return {"error": _what(exc)}
    try:
        wanted = [math_verify.parse(each, parsing_timeout=None) for each in references]
        equal = any(math_verify.verify(each, found, timeout_seconds=None) for each in wanted if each)
    except Exception as exc:  # of the reference, or of comparing: the answer may be right
        return {"failed": _what(exc)}
    return {"equal": bool(equal), "extracted": _text(found), "known": any(wanted)}


def _what(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc}"[:500]


def _text(found: list[Any]) -> str | None:
    # The last is the text that was read, before it the expression.
    return str(found[-1])[:500] if found else None


if __name__ == "__main__":
    main(float(sys.argv[1]))
