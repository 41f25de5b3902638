"""What a person must know before runs are gone."""

from __future__ import annotations

from collections.abc import Sequence

from themis.runs.delete import DeletePreview


def delete_facts(previews: Sequence[DeletePreview]) -> list[str]:
    """The lines of the question."""
    facts = [f"{each.run_id}   {each.status}, {_records(each.records)}" for each in previews[:8]]
    if len(previews) > 8:
        facts.append(f"and {len(previews) - 8} more")
    known = sum(each.records or 0 for each in previews)
    return [
        *facts,
        "",
        f"From the store {previews[0].store}: {_records(known)} in all. This cannot be undone.",
    ]


def _records(count: int | None) -> str:
    return "records unknown" if count is None else f"{count:,} outcome{'' if count == 1 else 's'}"
