"""What a person must know before runs are deleted."""

from __future__ import annotations

from collections.abc import Sequence

from themis.core.options import redacted
from themis.runs.delete import DeletePreview
from themis.runs.trash import TRASH_DAYS
from themis_tui import figures

MOST_NAMED = 8


def delete_facts(previews: Sequence[DeletePreview], *, for_good: bool = False) -> list[str]:
    """The lines of the question. ``for_good``: they lie in the trash already."""
    facts = [f"{each.run_id}   {_what(each)}" for each in previews[:MOST_NAMED]]
    if len(previews) > MOST_NAMED:
        facts.append(f"and {len(previews) - MOST_NAMED} more")
    stores = list(dict.fromkeys(redacted(each.store) for each in previews))
    records = sum(each.records or 0 for each in previews)
    size = sum(each.bytes or 0 for each in previews)
    known = f", {figures.size(size)}" if size else ""
    where = f"From the store{'s' if len(stores) > 1 else ''} {', '.join(stores)}: {_records(records)}{known}."
    kept = f"Kept in the trash for {TRASH_DAYS:g} days; z brings them back."
    if len(previews) == 1:
        kept = kept.replace("them", "it")
    return [*facts, "", where, "This cannot be undone." if for_good else kept]


def _what(preview: DeletePreview) -> str:
    if preview.live:
        return f"{preview.status}: it stays; cancel it first"
    return f"{preview.status}, {_records(preview.records)}"


def _records(count: int | None) -> str:
    return "records unknown" if count is None else f"{count:,} outcome{'' if count == 1 else 's'}"
