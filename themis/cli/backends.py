"""``themis backends``: where records can live and how work can be spread, and whether it works here."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, NamedTuple

from themis.backends.registry import (
    EXECUTION,
    EXECUTION_GROUP,
    STORAGE,
    STORAGE_GROUP,
    BuiltIn,
    check_executor,
    check_storage,
    executor_names,
    is_path,
)
from themis.cli import output
from themis.core.check_step import CheckStep
from themis.core.options import redacted, split_query
from themis.runs import exit_codes
from themis.runs.profiles import steps
from themis.runs.stores import SLOW_AFTER_S


class Backend(NamedTuple):
    """A name that can be given to ``--storage`` or ``--executor``."""

    kind: str
    name: str
    origin: str
    """``built in``, or the distribution whose entry point it is."""
    place: str
    """``module:class``."""
    problem: str | None
    """Why it cannot be loaded."""


MOST_SAID = 2_000
"""Cells of what a step says: the remedy stands at its end."""


def list_backends(given: argparse.Namespace) -> int:
    """Print every name there is; loads each to see whether it can be."""
    backends = [
        *_backends("storage", STORAGE, STORAGE_GROUP),
        *_backends("executor", EXECUTION, EXECUTION_GROUP),
    ]
    if given.json:
        output.say_json([{**each._asdict(), "loads": each.problem is None} for each in backends])
        return exit_codes.DONE
    rows = [(each.kind, each.name, each.origin, each.problem or "ready") for each in backends]
    output.say(output.table(("KIND", "NAME", "FROM", "STATE"), rows, most=120))
    return exit_codes.DONE


def _backends(kind: str, built_in: dict[str, BuiltIn], group: str) -> Iterator[Backend]:
    for name, known in sorted(built_in.items()):
        module = known.place.partition(":")[0]
        problem = _problem(lambda module=module: import_module(module), known.extra)  # type: ignore[misc]
        yield Backend(kind, name, "built in", known.place, problem)
    for point in sorted(entry_points(group=group), key=lambda each: each.name):
        if point.name not in built_in:
            origin = point.dist.name if point.dist is not None else "an entry point"
            yield Backend(kind, point.name, origin, point.value, _problem(point.load, None))


def _problem(load: Callable[[], Any], extra: str | None) -> str | None:
    try:
        load()
    except ImportError as exc:
        if extra is not None:
            return f"needs {exc.name}: pip install 'themis-tui[{extra}]'"
        return f"cannot be imported: {exc}"
    except Exception as exc:  # a stranger's module may raise anything
        return f"cannot be loaded: {type(exc).__name__}: {exc}"
    return None


def check_backend(given: argparse.Namespace) -> int:
    """Try a storage with a small run of its own, or an executor with a few items."""
    return tell_steps(given.name, _check(given.name), as_json=given.json)


def tell_steps(name: str, steps: Iterable[CheckStep], *, as_json: bool) -> int:
    """Print how each step of a check went; the exit code says whether all did."""
    told: list[CheckStep] = []
    if not as_json:
        output.say(_step_line("STEP", "RESULT", "TIME", ""))
    for step in _each_as_it_is_done(steps):
        told.append(step._replace(message=redacted(step.message)))
        if not as_json:
            took = f"{step.seconds * 1_000:.1f} ms"
            output.say(_step_line(step.name, "ok" if step.ok else "failed", took, told[-1].message))
    passed = all(step.ok for step in told)
    if as_json:
        output.say_json({"name": redacted(name), "ok": passed, "steps": [step._asdict() for step in told]})
    return exit_codes.DONE if passed else exit_codes.STORE


def _each_as_it_is_done(steps: Iterable[CheckStep]) -> Iterator[CheckStep]:
    """The steps; a person is told that one takes long while it does."""
    coming = iter(steps)
    while True:
        sys.stdout.flush()
        patience = threading.Timer(SLOW_AFTER_S, output.note, ["… the next step takes long; still waiting"])
        patience.daemon = True
        patience.start()
        try:
            step = next(coming, None)
        finally:
            patience.cancel()
        if step is None:
            return
        yield step


def _step_line(step: str, result: str, took: str, message: str) -> str:
    name = output.cut(step, 14)
    return f"{name:<14}  {result:<6}  {took:>11}  {output.cut(message, MOST_SAID)}".rstrip()


def _check(name: str) -> Iterable[CheckStep]:
    base = split_query(name)[0]
    is_executor = not is_path(name) and base not in STORAGE and base in executor_names()
    # What cannot be meant is told as that, not as a step that failed.
    (check_executor if is_executor else check_storage)(name)
    return steps("executor" if is_executor else "storage", name)
