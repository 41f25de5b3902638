"""What a comparison needs of a run, as arrays with one value a sample: epochs are averaged here.

Evaluation records are read one by one and let go; texts are not read at all.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from themis.compare.extra import needed
from themis.core.entities import EvaluationRecord

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_NAN = math.nan
_NUMBERS = frozenset({float, int, bool})


@dataclass
class Scores:
    """One metric over the samples of a run; NaN is no score."""

    left_out: Floats
    """Mean over the epochs that were scored."""
    as_zero: Floats
    """The same, an epoch that ended in an error counting zero."""
    versions: list[str] = field(default_factory=list)
    """The versions by which it was scored; more than one means that a rescoring was left half done."""


@dataclass
class Columns:
    """The samples of one run. Arrays are in the order of ``ids``."""

    ids: list[str] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)
    """Sample id to its place in the arrays."""
    hashes: Ints = field(init=False)
    """Of the sample's input and reference, good in this process only; 0 is unknown."""
    hashed_by: str = ""
    """The tool that made the hashes, of an imported run: those of two tools say nothing of each other."""
    groups: Ints = field(init=False)
    """Number of the cluster in ``group_names``; -1 is none."""
    group_names: list[str] = field(default_factory=list)
    tags: Ints = field(init=False)
    """Number of the set of tags in ``tag_sets``."""
    tag_sets: list[tuple[str, ...]] = field(default_factory=list)
    errors: Ints = field(init=False)
    """Epochs of the sample that ended in an error."""
    epochs: Ints = field(init=False)
    """Epochs of the sample that are there."""
    error_kinds: dict[str, int] = field(default_factory=dict)
    """Kind to number of outcomes."""
    scores: dict[str, Scores] = field(default_factory=dict)
    resources: dict[str, Floats] = field(default_factory=dict)
    """``latency_s``, ``output_tokens``, ``cost``: mean per sample over epochs; NaN is unknown."""
    totals: dict[str, float | None] = field(default_factory=dict)
    """The same summed over all outcomes; ``None`` where it is not known of any."""

    def __len__(self) -> int:
        return len(self.ids)


RESOURCES = ("latency_s", "output_tokens", "cost")


def read_columns(records: Iterable[EvaluationRecord]) -> Columns:
    """The columns of a run's current evaluation records, whatever their order."""
    np = needed("numpy")
    columns = Columns()
    places, ids = columns.places, columns.ids
    row_places, failed = array("q"), bytearray()
    hashes, groups, tags = array("q"), array("q"), array("q")
    group_numbers: dict[str, int] = {}
    tag_numbers: dict[tuple[str, ...], int] = {}
    raw: dict[str, array[float]] = {}
    versions: dict[tuple[Any, ...], None] = {}
    spent = {name: array("d") for name in RESOURCES}
    latency, tokens, cost = (spent[name] for name in RESOURCES)
    kinds: Counter[str] = Counter()
    last_versions: Any = None
    for number, record in enumerate(records):
        sample = record.sample_id
        if sample is None:
            sample = record.id
        place = places.setdefault(sample, len(ids))
        if place == len(ids):
            ids.append(sample)
            if len(ids) == 1 and isinstance(record.sample_hash, str):
                columns.hashed_by = record.sample_hash.rpartition(":")[0]
            hashes.append(0 if record.sample_hash is None else hash(record.sample_hash) or 1)
            groups.append(_numbered(group_numbers, record.group))
            tags.append(tag_numbers.setdefault(_tags(record.tags), len(tag_numbers)))
        row_places.append(place)
        if record.error is not None:
            kinds[_kind(record.error)] += 1
            failed.append(1)
        else:
            failed.append(0)
        for name, value in record.scores.items():
            column = raw.get(name)
            if column is None:
                column = raw[name] = array("d")
            if len(column) < number:
                column.extend([_NAN] * (number - len(column)))
            _append(column, value)
        if record.metric_versions != last_versions:
            last_versions = record.metric_versions
            versions[tuple((name, str(version)) for name, version in last_versions.items())] = None
        _append(latency, record.latency_s)
        _append(tokens, record.output_tokens)
        _append(cost, record.cost)
    columns.hashes, columns.groups, columns.tags = (_ints(np, each) for each in (hashes, groups, tags))
    columns.group_names, columns.tag_sets = list(group_numbers), list(tag_numbers)
    columns.error_kinds = dict(kinds.most_common())
    rows, errors = _ints(np, row_places), np.array(failed, dtype=np.int64)
    columns.epochs = np.bincount(rows, minlength=len(ids))
    columns.errors = np.bincount(rows[errors == 1], minlength=len(ids))
    for name, column in raw.items():
        column.extend([_NAN] * (len(rows) - len(column)))
        columns.scores[name] = _scores(np, rows, _finite(np, column), errors, len(ids))
        columns.scores[name].versions += sorted(
            {v for each in versions for metric, v in each if metric == name}
        )
    for name, column in spent.items():
        values = _finite(np, column)
        known = ~np.isnan(values)
        columns.resources[name] = _means(np, rows, values, len(ids))
        columns.totals[name] = float(values[known].sum()) if known.any() else None
    return columns


def _scores(np: Any, rows: Ints, scores: Floats, errors: Ints, size: int) -> Scores:
    answered = np.where(errors == 1, np.nan, scores)
    as_zero = np.where(errors == 1, 0.0, scores)
    return Scores(_means(np, rows, answered, size), _means(np, rows, as_zero, size))


def _means(np: Any, rows: Ints, values: Floats, size: int) -> Floats:
    """Mean per sample over the epochs that have a value; NaN where none has."""
    known = ~np.isnan(values)
    counts = np.bincount(rows[known], minlength=size)
    sums = np.bincount(rows[known], weights=values[known], minlength=size)
    means: Floats = np.full(size, np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means


def _ints(np: Any, numbers: array[int]) -> Ints:
    made: Ints = np.array(numbers, dtype=np.int64)
    return made


def _append(column: array[float], value: Any) -> None:
    """A score or a measure; NaN where a stranger stored something else."""
    try:
        column.append(value if type(value) in _NUMBERS else _NAN)
    except OverflowError:
        column.append(_NAN)


def _finite(np: Any, column: array[float]) -> Floats:
    values: Floats = np.array(column, dtype=np.float64)
    values[~np.isfinite(values)] = np.nan
    return values


def _numbered(numbers: dict[str, int], group: Any) -> int:
    return -1 if group is None else numbers.setdefault(str(group), len(numbers))


def _tags(tags: Any) -> tuple[str, ...]:
    return tuple(str(tag) for tag in tags) if isinstance(tags, list) else ()


def _kind(error: Any) -> str:
    return str(error.get("kind") or "error") if isinstance(error, dict) else "error"
