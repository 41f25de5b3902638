"""What our own pages print, taken apart: fenced blocks, and the commands in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "extending-backends.md"
README = ROOT / "README.md"

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE_NAME = re.compile(r"# (\w+\.py)\n")


class Block(NamedTuple):
    """One fenced block of a page."""

    language: str
    text: str
    line: int
    """Where its text starts in the page."""

    @property
    def file_name(self) -> str | None:
        """The file that the block is, if its first line is a comment with a file's name."""
        named = _FILE_NAME.match(self.text)
        return named[1] if named else None


def blocks(page: Path, *languages: str) -> list[Block]:
    """The fenced blocks of a page in one of these languages, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(found[1], found[2], text.count("\n", 0, found.start(2)) + 1)
        for found in _FENCE.finditer(text)
        if found[1] in languages
    ]


def commands(page: Path) -> list[str]:
    """The commands of a page's console blocks, without prompts, comments and what they print."""
    lines = "".join(block.text for block in blocks(page, "console")).replace("\\\n", "").splitlines()
    return [re.sub(r"\s+# .*", "", line[2:]).strip() for line in lines if line.startswith("$ ")]


def install_guide(folder: Path) -> None:
    """Make what the guide writes an installed distribution in ``folder``: its modules, its entry points.

    ``folder`` on the path is then as good as ``pip install`` into it.
    """
    for block in blocks(GUIDE, "python"):
        if block.file_name is not None:
            (folder / block.file_name).write_text(block.text, encoding="utf-8")
    info = folder / "lab_backends-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-backends\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(_entry_points())


def _entry_points() -> str:
    import tomllib

    (toml,) = blocks(GUIDE, "toml")
    groups = tomllib.loads(toml.text)["project"]["entry-points"]
    lines = []
    for group, points in groups.items():
        lines.append(f"[{group}]")
        lines += [f"{name} = {place}" for name, place in points.items()]
    return "\n".join(lines) + "\n"
