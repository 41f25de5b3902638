"""Data sets of the Hugging Face hub, by the package ``datasets``; only here is it imported."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies

from themis.benchmarks.presets.place import Place
from themis.core.errors import BenchmarkError

REACH_S = 3.0
"""Seconds to wait for the hub to answer at all; left alone, ``datasets`` tries for half a minute."""


class Hub(NamedTuple):
    """A data set of the Hugging Face hub, as it was in one revision."""

    dataset: str
    revision: str
    config: str | None = None
    """``{Part}`` stands for a part of the data, with a capital letter."""
    splits: tuple[str, ...] = ("test",)


class HubPlace(Place):
    """The hub, or its cache on this machine; never runs code of a data set."""

    def __init__(self, hub: Hub, otherwise: str) -> None:
        """``otherwise``: how else the data can be had, for messages."""
        self.hub = hub
        self.otherwise = otherwise
        self.name = f"{hub.dataset} on the hub"
        self.splits = hub.splits

    def rows(self, split: str, parts: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
        named = self.hub.config or ""
        for config in dict.fromkeys(named.format(Part=part.capitalize()) for part in parts):
            try:
                rows = self._loaded(config or None, split)
            except Exception as exc:  # it raises what any of its own dependencies raises
                raise BenchmarkError(
                    f"{self.hub.dataset} could not be loaded from the hub "
                    f"({type(exc).__name__}: {exc!s:.300}). {self.otherwise}"
                ) from exc
            yield from rows

    def _loaded(self, config: str | None, split: str) -> list[dict[str, Any]]:
        from datasets import load_dataset

        with _settings():
            table = load_dataset(self.hub.dataset, config, split=split, revision=self.hub.revision)
        return [dict(row) for row in table]


def has_datasets() -> bool:
    """Whether the package is installed, without importing it."""
    try:
        spec = find_spec("datasets")
        return spec is not None and spec.origin is not None  # a mere folder of that name has none
    except ValueError:  # already imported, by somebody who made it by hand
        return True


class _Settings:
    """How many loads need the settings of these packages, which are one for the process, to be ours."""

    lock = threading.Lock()
    loads = 0
    usual = ExitStack()


@contextmanager
def _settings() -> Iterator[None]:
    """Ours from the first load to the end of the last, so that what is put back is what was there before."""
    with _Settings.lock:
        if not _Settings.loads:
            with ExitStack() as ours:
                ours.enter_context(_silence())
                ours.enter_context(_no_network_if_none())
                _Settings.usual = ours.pop_all()
        _Settings.loads += 1
    try:
        yield
    finally:
        with _Settings.lock:
            _Settings.loads -= 1
            if not _Settings.loads:
                _Settings.usual.close()


@contextmanager
def _silence() -> Iterator[None]:
    """No bars of progress, which a terminal application would have drawn over it."""
    import datasets

    shown = not getattr(datasets, "are_progress_bars_disabled", lambda: True)()
    if shown:
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()


@contextmanager
def _no_network_if_none() -> Iterator[None]:
    """Only what is cached, where the hub cannot be reached: without trying again and again."""
    try:
        from huggingface_hub import constants
    except ImportError:
        yield
        return
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not _reached(constants.ENDPOINT)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _reached(endpoint: str) -> bool:
    if getproxies():
        return True  # the way there is not ours to try
    address = urlsplit(endpoint)
    try:
        port = address.port or (80 if address.scheme == "http" else 443)
        socket.create_connection((address.hostname or "", port), REACH_S).close()
    except (OSError, ValueError):
        return False
    return True
