"""The page about queries says what the parser knows."""

from __future__ import annotations

import pytest
from printed import ROOT, blocks

from themis.runs import fields
from themis.runs.query import row_test

PAGE = ROOT / "docs" / "queries.md"
TEXT = PAGE.read_text(encoding="utf-8")


def rows() -> list[tuple[str, str]]:
    """What the page says of each field."""
    described = {**fields.TEXTS, **fields.NUMBERS, **fields.TIMES}
    return [*((name, field.about) for name, field in described.items()), *fields.DURATIONS.items()]


@pytest.mark.parametrize(("name", "about"), rows())
def test_every_field_is_there_as_the_completion_describes_it(name: str, about: str) -> None:
    assert f"\n| `{name}` | {about} |\n" in TEXT


def test_so_is_whatever_else_can_be_asked() -> None:
    wanted = [f"| `is:{each}` |" for each in (*fields.IS, fields.NEW)]
    wanted += [f"| `has:{each}` |" for each in fields.HAS]
    wanted += [f"`{each}`" for each in fields.STATUSES]
    wanted += [f"`{alias}` is `{name}`" for alias, name in fields.ALIASES.items()]
    assert [each for each in wanted if each not in TEXT] == []


@pytest.mark.parametrize("query", blocks(PAGE, "query")[0].text.splitlines())
def test_the_examples_can_be_meant(query: str) -> None:
    assert row_test(query, is_new=bool)


def test_no_other_field_is_there() -> None:
    known = {name for name, _ in rows()}
    tables = [line.split("`")[1] for line in TEXT.splitlines() if line.startswith("| `")]
    plain = [each for each in tables if each.isalpha() and each != "smol"]
    assert set(plain) == known
