"""A small world of runs, and a pilot that waits for conditions, not for time."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from textual.css.query import NoMatches
from textual.pilot import Pilot

from themis import evaluate
from themis_tui.app import ThemisApp

Until = Callable[..., Any]


@pytest.fixture
def world() -> list[str]:
    """Three finished runs in the default store; the newest first."""
    for run_id, model, limit in (
        ("first-run", "fake-math-llm", 20),
        ("second-run", "fake-math-llm?error_rate=0.2&seed=1", 30),
        ("third-run", "fake-math-llm?accuracy=0.5", 40),
    ):
        evaluate("demo", model=model, limit=limit, run_id=run_id)
    return ["third-run", "second-run", "first-run"]


@pytest.fixture
def opened() -> Callable[..., AbstractAsyncContextManager[Pilot[None]]]:
    """The app, run without a terminal."""

    def open_app(
        *, size: tuple[int, int] = (80, 24), **given: Any
    ) -> AbstractAsyncContextManager[Pilot[None]]:
        return ThemisApp(**given).run_test(size=size, notifications=True)

    return open_app


@pytest.fixture
def until() -> Until:
    """Wait until a condition holds; fails with the screen's text after a deadline."""

    async def wait(pilot: Pilot[None], condition: Callable[[], Any], within_s: float = 20.0) -> Any:
        deadline = time.monotonic() + within_s
        while not (held := _holds(condition)):
            if time.monotonic() > deadline:
                raise AssertionError(f"it did not come within {within_s:g} s; the screen:\n{seen(pilot)}")
            await pilot.pause(0.02)
        return held

    return wait


def _holds(condition: Callable[[], Any]) -> Any:
    try:
        return condition()
    except NoMatches:  # the screen is not composed yet
        return False


def seen(pilot: Pilot[None]) -> str:
    """What a person reads on the screen now."""
    strips = pilot.app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips)


@pytest.fixture
def read() -> Callable[[Pilot[None]], str]:
    """What a person reads on the screen now."""
    return seen
