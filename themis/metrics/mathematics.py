"""Mathematics that is equal, however it is written."""

from __future__ import annotations

import json
import os
import re
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, cast

from themis.core.errors import UsageError
from themis.core.latex import boxed
from themis.metrics.answers import last_part
from themis.metrics.base import JudgingMetric, Score
from themis.metrics.text import NO_REFERENCE

MOST_PROCESSES = 4
MOST_COMPARED = 2_000
"""Characters of a final answer; a longer one is no answer to a question of mathematics."""
WAIT_S = 30.0
"""Seconds to wait for a process that is free."""
START_S = 30.0
"""Seconds that a process may take to be ready; what it loads takes about one."""
LATE_S = 5.0
"""Seconds that a process may take to end itself after its deadline; then it is ended."""


class _NotCompared(Exception):
    """Why."""


class MathVerify(JudgingMetric):
    r"""1 if the answer's final expression is mathematically equal to the reference's.

    Read and compared by the package math-verify: LaTeX, ``\boxed{…}``, fractions, sets, intervals, equations,
    plain numbers. The final expression is what the last ``\boxed{…}`` holds, else what math-verify finds. A
    reference is an expression, or a whole solution with a ``\boxed{…}``; of several, any may be met.

    Comparing runs in processes of its own, at most one a processor, each given up after ``seconds``. What was
    not compared, as it did not end by then, or no process was free or could be started, has no score, and the
    detail says why; only a comparison that ended can score 0.
    """

    name = "MathVerify"

    def __init__(self, seconds: float = 5.0) -> None:
        if not 0 < seconds <= 3600:
            raise UsageError(f"MathVerify: seconds is {seconds}; it is a number above 0, of at most 3600.")
        self.version = f"2 math-verify {version('math-verify')}"
        self.seconds = float(seconds)
        self.timeout = WAIT_S + START_S + self.seconds + LATE_S
        self._make()

    def _make(self) -> None:
        most = min(MOST_PROCESSES, os.cpu_count() or 1)
        self._free = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self._idle: list[_Process] = []

    @property
    def params(self) -> dict[str, Any]:
        return {"seconds": self.seconds}

    def judge(self, prompt: str | list[Any], response: str, reference: Any) -> Score:
        asked = _asked(response, reference)
        return asked if isinstance(asked, Score) else self._compared(*asked)

    async def judge_awaited(self, prompt: str | list[Any], response: str, reference: Any) -> Score:
        import asyncio  # takes longer to load than a small run takes

        asked = _asked(response, reference)
        return asked if isinstance(asked, Score) else await asyncio.to_thread(self._compared, *asked)

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for process in idle:
            process.end()

    def __getstate__(self) -> dict[str, Any]:
        made = ("_free", "_lock", "_idle")
        return {name: value for name, value in self.__dict__.items() if name not in made}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._make()

    def named(self, name: str) -> MathVerify:
        other = super().named(name)
        other._make()
        return other

    def _compared(self, answer: str, references: list[str]) -> Score:
        try:
            with self._process() as process:
                said = process.ask([answer, references])
        except _NotCompared as exc:
            return Score(None, f"not compared, as {exc}: {answer[-200:]}")
        if "failed" in said:
            return Score(None, f"not compared, as it failed ({said['failed']}): {answer[-200:]}")
        if "error" in said:
            return Score(0, f"no mathematics: {said['error']}")
        if not said["known"]:
            return Score(None, "the reference holds no mathematics")
        if said["extracted"] is None:
            return Score(0, "no mathematics in the answer")
        return Score(int(said["equal"]), said["extracted"])

    @contextmanager
    def _process(self) -> Iterator[_Process]:
        if not self._free.acquire(timeout=WAIT_S):
            raise _NotCompared(f"all processes that compare were busy for {WAIT_S:g} s")
        try:
            process = self._taken() or _Process(self.seconds)
            try:
                yield process
            except BaseException:
                process.end()
                raise
            if not process.ended:
                with self._lock:
                    self._idle.append(process)
        finally:
            self._free.release()

    def _taken(self) -> _Process | None:
        with self._lock:
            while self._idle:
                process = self._idle.pop()
                if process.lives():
                    return process
                process.end()
        return None


class _Process:
    """One process that compares; it ends by itself when nobody can ask it any more."""

    ended = True

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        # By its path, so that neither this folder nor the current one can stand in for a package.
        path = Path(__file__).with_name("math_process.py")
        command = [sys.executable, "-P", str(path), str(seconds)]
        try:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="ascii",
            )
        except OSError as exc:
            raise _NotCompared(f"no process could be started ({exc})") from exc
        self.ended = False
        self._to = cast(IO[str], self._popen.stdin)
        self._from = cast(IO[str], self._popen.stdout)
        line = self._line(START_S)
        if not line:
            self.end()
            why = f"in {START_S:g} s" if line is None else f"(exit {self._popen.returncode})"
            raise _NotCompared(f"the process that compares did not start {why}")

    def ask(self, question: Any) -> dict[str, Any]:
        """What it says. Raises :class:`_NotCompared` if time or memory did not suffice."""
        try:
            self._to.write(json.dumps(question) + "\n")
            self._to.flush()
            line = self._line(self._seconds + LATE_S)
        except BrokenPipeError:
            line = ""
        if line:
            said: dict[str, Any] = json.loads(line)
            return said
        self.end()
        if line is None or self._popen.returncode == -signal.SIGALRM:
            raise _NotCompared(f"it did not end within {self._seconds:g} s")
        raise _NotCompared(f"the process that compares ended (exit {self._popen.returncode})")

    def _line(self, seconds: float) -> str | None:
        """The next line; empty at the end of its output, ``None`` if there is none in time."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._from, selectors.EVENT_READ)
            # It writes whole lines, and only one until it is asked again.
            return self._from.readline() if selector.select(seconds) else None

    def lives(self) -> bool:
        """Whether it could answer: somebody may have ended it."""
        return self._popen.poll() is None

    def __del__(self) -> None:
        if not self.ended:
            self.end()

    def end(self) -> None:
        self.ended = True
        self._popen.kill()
        self._popen.wait()
        for pipe in (self._to, self._from):
            try:
                pipe.close()
            except BrokenPipeError:  # what was not sent went nowhere
                pass


def _asked(response: str, reference: Any) -> Score | tuple[str, list[str]]:
    """The score, where it can be told by looking; else the texts to compare."""
    if reference is None:
        return Score(None, NO_REFERENCE)
    references = [_final(str(each)) for each in (reference if isinstance(reference, list) else [reference])]
    answer = boxed(last_part(response))
    if answer is None:
        answer = last_part(response)[-MOST_COMPARED:]
    elif len(answer) > MOST_COMPARED:
        return Score(0, f"the boxed answer has {len(answer)} characters")
    else:
        written = _without_spaces(answer)
        if written and any(written == _without_spaces(each) for each in references):
            return Score(1, answer)
        answer = _in_box(answer)
    return answer, [_in_box(each[-MOST_COMPARED:]) for each in references]


def _final(reference: str) -> str:
    box = boxed(reference)
    return reference.strip() if box is None else box


def _in_box(expression: str) -> str:
    return f"$\\boxed{{{expression.strip().strip('$')}}}$"


def _without_spaces(expression: str) -> str:
    return re.sub(r"\s|\\[,;:! ]|\\left|\\right(?!arrow)", "", expression.strip().strip("$"))
