"""From a name to a metric; nothing is imported until it is asked for.

A name means, in this order: a built-in one; ``python:module:function`` (or a metric or class of metrics
there); an entry point in the group ``themis.metrics``. Options follow in query form,
``NumericMatch?tolerance=0.01``; every metric has ``name``, what its scores are stored under.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

from themis.backends.registry import entry_points
from themis.core.errors import MissingExtra, UnknownName, UsageError
from themis.core.options import build, join_query, split_query
from themis.core.places import load_place
from themis.metrics.base import CallableMetric, Metric

GROUP = "themis.metrics"


class BuiltIn(NamedTuple):
    """Where a built-in metric is, and the extra of ``themis-tui`` and the packages in it that it needs."""

    place: str
    extra: str | None = None
    packages: tuple[str, ...] = ()


BUILT_IN: dict[str, BuiltIn] = {
    "BLEU": BuiltIn("themis.metrics.bleu:BLEU", "text", ("sacrebleu",)),
    "Choice": BuiltIn("themis.metrics.choice:Choice"),
    "ExactMatch": BuiltIn("themis.metrics.text:ExactMatch"),
    "Includes": BuiltIn("themis.metrics.text:Includes"),
    "InstructionsFollowed": BuiltIn(
        "themis.metrics.instructions:InstructionsFollowed", "ifeval", ("langdetect",)
    ),
    "MathVerify": BuiltIn("themis.metrics.mathematics:MathVerify", "math", ("math_verify",)),
    "ModelJudge": BuiltIn("themis.metrics.judge:ModelJudge"),
    "NumericMatch": BuiltIn("themis.metrics.numeric:NumericMatch"),
    "ROUGE-L": BuiltIn("themis.metrics.rouge:RougeL", "text", ("rouge_score",)),
    "RegexMatch": BuiltIn("themis.metrics.pattern:RegexMatch", "regex", ("regex",)),
    "TokenF1": BuiltIn("themis.metrics.token_f1:TokenF1"),
}
DEFAULT = ("ExactMatch", "Includes")
"""Used where neither the caller nor the benchmark names metrics."""
HARMLESS = frozenset(BUILT_IN) - {"ModelJudge"}
"""Names that run no code of others and contact nobody, whatever their options are."""


def open_metrics(metrics: str | Iterable[str | Metric | Callable[[str, Any], Any]]) -> list[Metric]:
    """Metrics by name, instance or function; a text is a list with commas between, see :func:`split_names`.

    Raises :class:`UnknownName` with the names there are, :class:`MissingExtra` with the command that
    installs what is missing, :class:`UsageError` for options that a metric does not have.
    """
    if isinstance(metrics, str):
        metrics = split_names(metrics)
    opened = [_opened(metric) for metric in metrics]
    names = [metric.name for metric in opened]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise UsageError(
            f"The metric {repeated!r} is named twice. To use one twice, give it another name: "
            f"{join_query(repeated, {'name': f'{repeated}2'})}"
        )
    return opened


def split_names(text: str) -> list[str]:
    """The metrics named in one text, with commas between. A comma inside an option is written ``%2C``."""
    return [name.strip() for name in text.split(",") if name.strip()]


def metric_names() -> list[str]:
    """Every metric's name, built in or by entry point; imports none of them."""
    return sorted({*BUILT_IN, *(point.name for point in entry_points(group=GROUP))})


def metric_reference(name: str, stored: Any) -> str:
    """The name with options that opens a metric again which a run stored as ``asked.metrics[name]``.

    What is stored is data: look at :func:`is_harmless` before opening what this gives.
    """
    params = stored.get("params") if isinstance(stored, dict) else None
    params = params if isinstance(params, dict) else {}
    options = {key: "" if value is None else value for key, value in params.items()}
    kind = str(options.pop("metric", "") or name)
    if "function" in options:
        kind = f"python:{options.pop('function')}"
        # A function is stored under its own name unless told otherwise.
        name = "" if kind.rpartition(":")[2].rpartition(".")[2] == name else name
    if name not in ("", kind):
        options["name"] = name
    return join_query(kind, options)


def is_harmless(reference: str) -> bool:
    """Whether a metric runs no code of others and contacts nobody, so that a store may name it."""
    try:
        return split_query(reference)[0] in HARMLESS
    except UsageError:
        return False


def _opened(metric: str | Metric | Callable[[str, Any], Any]) -> Metric:
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, str):
        return _named(metric.strip())
    if not callable(metric):
        raise UsageError(f"A metric is a name or a function of response and reference, not {metric!r:.100}.")
    return CallableMetric(metric)


def _named(reference: str) -> Metric:
    base, options = split_query(reference)
    name = options.pop("name", None)
    if name is not None and not name.strip():
        raise UsageError(f"{reference!r}: the name of a metric cannot be empty.")
    found = _loaded(base)
    if isinstance(found, type) and issubclass(found, Metric):
        opened = build(found, options, f"metric {base!r}")
        if opened.name != base:
            opened.kind = base
    elif options:
        raise UsageError(f"The metric {base!r} has no option {next(iter(options))!r}. It has: name.")
    elif isinstance(found, Metric):
        opened = found.named(found.name)
        opened.kind = base
    elif callable(found):
        opened = CallableMetric(found, base.removeprefix("python:") if _is_place(base) else None)
    else:
        raise UsageError(
            f"The metric {base!r} is {found!r:.100}, not a metric or a function of response and reference."
        )
    return opened if name is None else opened.named(name.strip())


def _is_place(base: str) -> bool:
    return base.startswith("python:")


def _loaded(base: str) -> Any:
    if base in BUILT_IN:
        return _built_in(base, BUILT_IN[base])
    if _is_place(base):
        return load_place(base.removeprefix("python:"))
    point = next(iter(entry_points(group=GROUP, name=base)), None)
    if point is None:
        raise UnknownName(
            f"There is no metric {base!r}. There are: {', '.join(metric_names())}; or python:module:function."
        )
    return point.load()


def _built_in(base: str, known: BuiltIn) -> Any:
    # Packages are looked for, not loaded: some take seconds, and one does its work in another process.
    missing = next((package for package in known.packages if find_spec(package) is None), None)
    if missing is not None:
        raise MissingExtra(
            f"The metric {base!r} needs {missing}. Install it: pip install 'themis-tui[{known.extra}]'"
        )
    module, _, attribute = known.place.partition(":")
    return getattr(import_module(module), attribute)
