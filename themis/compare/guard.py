"""Whether two runs can be compared at all: what they asked, side by side, before any number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from themis.compare.columns import Columns
from themis.compare.pairing import Pairs


@dataclass(frozen=True)
class Unlike:
    """Something in which two runs differ."""

    what: str
    """``dataset``, ``prompt``, ``system``, ``sampling``, ``seed``, ``limit``, ``epochs``, ``model``,
    ``status``, ``sample set``, ``version of METRIC``, ``options of METRIC``, ``judge of METRIC``."""
    baseline: Any
    candidate: Any
    metric: str | None = None
    """The metric that cannot be compared for it, unless forced."""


@dataclass(frozen=True)
class Guard:
    """What two runs have in common and what not. It stands above every number."""

    differs: list[Unlike]
    same: list[str]
    unknown: list[str]
    """What at least one of them does not say."""
    blocked: list[str]
    """Metrics that are not comparable."""

    @property
    def blocking(self) -> list[Unlike]:
        """The differences for which metrics are not comparable."""
        return [each for each in self.differs if each.metric is not None]


def guarded(
    baseline: Mapping[str, Any],
    candidate: Mapping[str, Any],
    columns: tuple[Columns, Columns],
    pairs: Pairs,
    metrics: list[str],
) -> Guard:
    """Compare what two runs asked, from their metadata, and by what their records say they were scored."""
    differs: list[Unlike] = []
    same: list[str] = []
    unknown: list[str] = []
    facts = [*_facts(baseline, candidate), *_metric_facts(baseline, candidate, columns, metrics)]
    for what, one, other, metric in facts:
        if one is None and other is None and what in _OPTIONAL:
            same.append(what)
        elif (one is None or other is None) and what not in _OPTIONAL:
            unknown.append(what)
        elif one == other:
            same.append(what)
        else:
            differs.append(Unlike(what, _short(one), _short(other), metric))
    if pairs.set_aside or pairs.only_baseline or pairs.only_candidate:
        differs.append(Unlike("sample set", len(columns[0]), len(columns[1])))
    else:
        same.append("sample set")
    for side, metadata in (("baseline", baseline), ("candidate", candidate)):
        status = metadata.get("status")
        if status not in (None, "completed"):
            differs.append(Unlike(f"status of the {side}", *(_statuses(baseline, candidate))))
    return Guard(differs, same, unknown, sorted({each.metric for each in differs if each.metric}))


_OPTIONAL = ("system", "sampling", "seed", "limit", "epochs")
"""Of these, nothing is an answer: none was asked for."""


def _facts(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any, None]]:
    first, second = _part(one, "asked"), _part(other, "asked")
    for what, path in (
        ("benchmark", ("benchmark",)),
        ("dataset", ("dataset", "fingerprint")),
        ("model", ("model", "identity")),
        ("prompt", ("prompt", "hash")),
        ("system", ("system",)),
        ("sampling", ("sampling",)),
        ("seed", ("seed",)),
        ("limit", ("limit",)),
        ("epochs", ("epochs",)),
    ):
        here, there = _at(first, path), _at(second, path)
        if what == "prompt" and here != there:
            # A hash says that prompts differ, not how.
            here, there = (
                _at(each, ("prompt", "template")) or hashed
                for each, hashed in ((first, here), (second, there))
            )
        yield what, here or None, there or None, None


def _metric_facts(
    one: Mapping[str, Any], other: Mapping[str, Any], columns: tuple[Columns, Columns], metrics: list[str]
) -> Iterator[tuple[str, Any, Any, str | None]]:
    asked = [_part(_part(each, "asked"), "metrics") for each in (one, other)]
    for name in metrics:
        if any(name not in each.scores for each in columns):
            continue
        versions = [
            each.scores[name].versions or _listed(_part(said, name).get("version"))
            for each, said in zip(columns, asked, strict=True)
        ]
        mixed = any(len(each) > 1 for each in versions)
        first, second = (" and ".join(each) or None for each in versions)
        options = [_options(_part(each, name)) for each in asked]
        judged = any(isinstance(each, Mapping) and "model" in each for each in options)
        if judged and options[0] != options[1]:
            yield f"judge of {name}", *options, name
        else:
            if mixed and first == second:
                second = f"{second}, mixed"  # neither run is scored by one rule
            yield f"version of {name}", first, second, name
            yield f"options of {name}", *options, name


def config_diff(baseline: Mapping[str, Any], candidate: Mapping[str, Any]) -> list[Unlike]:
    """Every field of what two runs asked, and where they ran, that differs; by its dotted path."""
    differing = []
    for part in ("asked", "where"):
        first, second = dict(_flat(_part(baseline, part), part)), dict(_flat(_part(candidate, part), part))
        differing += [
            Unlike(path, _short(first.get(path)), _short(second.get(path)))
            for path in dict.fromkeys([*first, *second])
            if first.get(path) != second.get(path)
        ]
    return differing


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from _flat(item, f"{path}.{name}")
    else:
        yield path, value


def _statuses(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[Any, Any]:
    return one.get("status"), other.get("status")


def _options(asked: Mapping[str, Any]) -> Any:
    return asked.get("params") if asked else None


def _listed(version: Any) -> list[str]:
    return [] if version is None else [str(version)]


def _at(holder: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    for name in path[:-1]:
        holder = _part(holder, name)
    return holder.get(path[-1])


def _part(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A part that should be an object; a stranger's store may hold something else."""
    value = holder.get(name)
    return value if isinstance(value, Mapping) else {}


def _short(value: Any) -> Any:
    return f"{value[:2_000]}…" if isinstance(value, str) and len(value) > 2_000 else value
