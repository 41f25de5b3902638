"""A stranger's ZIP archive, read member by member: nothing is unpacked to disk, nothing without bound."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from themis.core.errors import MissingExtra
from themis.imports.outside_run import NotImportable

MOST_MEMBER = 200_000_000
"""Bytes of one member, unpacked."""
MOST_UNPACKED = 20_000_000_000
"""Bytes of all that is read of an archive, unpacked."""
MOST_RATIO = 1_000
"""Unpacked over packed bytes of a member of more than a megabyte: JSON comes to some thirty."""
MOST_MEMBERS = 2_000_000
_ZSTANDARD = 93
"""The method of the ZIP specification (4.4.5) that Inspect AI uses, and zipfile knows from Python 3.14 on."""
_LOCAL_HEADER = 30
_PIECE = 1_000_000


class Archive:
    """The members of a ZIP archive. Names are only ever compared, so that none leads anywhere."""

    def __init__(self, path: Path) -> None:
        """Raises :class:`NotImportable` if it is none, or holds too much."""
        self.path = path
        self._unpacked = 0
        self._file = path.open("rb")
        try:
            self._zip = zipfile.ZipFile(self._file)
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as exc:
            self._file.close()
            raise NotImportable(f"{path.name} is not a ZIP archive that can be read: {exc}") from exc
        infos = self._zip.infolist()
        if len(infos) > MOST_MEMBERS:
            self._file.close()
            raise NotImportable(f"{path.name} has {len(infos):,} members, more than {MOST_MEMBERS:,}.")
        self._members = {info.filename: info for info in infos}

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()
        self._file.close()

    def names(self) -> list[str]:
        """The names of the members; of one that is there twice the later counts."""
        return list(self._members)

    def read(self, name: str) -> bytes:
        """A member, unpacked. Raises :class:`NotImportable` if it is broken, locked or beyond a bound."""
        info = self._members.get(name)
        if info is None:
            raise NotImportable(f"{self.path.name} has no member {name!r:.100}.")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, _ZSTANDARD):
            # Of others a small piece may unpack to anything at once.
            raise NotImportable(
                f"{self.path.name} is packed by method {info.compress_type}, not by a known one."
            )
        if info.flag_bits & 0x1:
            raise NotImportable(f"{self.path.name} is locked by a password.")
        data = bytearray()
        try:
            for piece in self._pieces(info):
                data += piece
                self._check(name, len(data), info.compress_size)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, ValueError) as exc:
            if isinstance(exc, NotImportable):
                raise
            raise NotImportable(f"{self.path.name}: {name!r:.100} cannot be unpacked: {exc}") from exc
        self._unpacked += len(data)
        return bytes(data)

    def _check(self, name: str, size: int, packed: int) -> None:
        where = f"{self.path.name}: {name!r:.100}"
        if size > MOST_MEMBER:
            raise NotImportable(f"{where} is more than {MOST_MEMBER:,} bytes.")
        if size > 1_000_000 and size > MOST_RATIO * max(1, packed):
            raise NotImportable(f"{where} unpacks to more than {MOST_RATIO:,} times its size.")
        if self._unpacked + size > MOST_UNPACKED:
            raise NotImportable(f"{self.path.name} unpacks to more than {MOST_UNPACKED:,} bytes.")

    def _pieces(self, info: zipfile.ZipInfo) -> Iterator[bytes]:
        if info.compress_type == _ZSTANDARD:
            yield from self._zstandard(info)
            return
        with self._zip.open(info) as member:
            yield from iter(lambda: member.read(_PIECE), b"")

    def _zstandard(self, info: zipfile.ZipInfo) -> Iterator[bytes]:
        try:
            import zstandard
        except ImportError as exc:
            raise MissingExtra(
                f"{self.path.name} is packed by Zstandard, which needs zstandard. Install it: "
                "pip install 'themis-tui[import]'"
            ) from exc
        checked = 0
        try:
            unpacker = zstandard.ZstdDecompressor(max_window_size=2**27)
            with unpacker.stream_reader(self._packed(info), read_across_frames=True) as member:
                for piece in iter(lambda: member.read(_PIECE), b""):
                    checked = zlib.crc32(piece, checked)
                    yield piece
        except zstandard.ZstdError as exc:
            raise zipfile.BadZipFile(str(exc)) from exc
        if checked != info.CRC:
            raise zipfile.BadZipFile("its checksum is wrong")

    def _packed(self, info: zipfile.ZipInfo) -> IO[bytes]:
        """The packed bytes of a member, which lie after a header of its own."""
        if info.compress_size > MOST_MEMBER:
            raise NotImportable(f"{self.path.name}: {info.filename!r:.100} is too large.")
        self._file.seek(info.header_offset)
        header = self._file.read(_LOCAL_HEADER)
        if len(header) < _LOCAL_HEADER or header[:4] != b"PK\x03\x04":
            raise zipfile.BadZipFile("its header is broken")
        names = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        self._file.seek(names, io.SEEK_CUR)
        return io.BytesIO(self._file.read(info.compress_size))
