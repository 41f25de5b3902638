"""The words that pick runs out of a list, the same in the app and on the command line.

Words are joined by "and"; ``-word`` means "not". A bare word is looked for in id, name, tags, benchmark,
model and status; ``field:word`` in one of them: ``status:failed``, ``model:smol``.
"""

from __future__ import annotations

from collections.abc import Callable

from themis.runs.catalog import RunRow

FIELDS = ("id", "name", "tag", "benchmark", "model", "status", "store")

RowTest = Callable[[RunRow], bool]


def row_test(query: str) -> RowTest:
    """Whether a row is meant by ``query``; an empty one means them all."""
    tests = [_word_test(word) for word in query.casefold().split()]
    return lambda row: all(test(row) for test in tests)


def _word_test(word: str) -> RowTest:
    if len(word) > 1 and word[0] == "-":
        unwanted = _word_test(word[1:])
        return lambda row: not unwanted(row)
    field, colon, rest = word.partition(":")
    if colon and field in FIELDS:
        return lambda row: any(rest in text for text in _texts(row)[field])
    return lambda row: (
        word in row.run_id.casefold()
        or word in row.benchmark.casefold()
        or word in row.model.casefold()
        or word in row.status.word
        or any(word in text for name in ("name", "tag") for text in _texts(row)[name])
    )


def _texts(row: RunRow) -> dict[str, tuple[str, ...]]:
    notes = row.summary.get("annotations") or {}
    tags = notes.get("tags")
    return {
        "id": (row.run_id.casefold(),),
        "name": (str(notes.get("name") or "").casefold(),),
        "tag": tuple(str(tag).casefold() for tag in tags) if isinstance(tags, list) else (),
        "benchmark": (row.benchmark.casefold(),),
        "model": (row.model.casefold(),),
        "status": (row.status.word,),
        "store": (row.store.casefold(),),
    }
