"""The two records and the report: plain dataclasses whose ``__dict__`` is the stored JSON object.

Times are float seconds since 1970 UTC; ``None`` means unknown, never zero. What a field means stands
in the string beneath it. ``Record(**json.loads(json.dumps(record.__dict__)))`` gives the record back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SCHEMA_VERSION = 1
"""Version of the stored form; newer ones are refused, see :class:`themis.core.errors.SchemaTooNew`."""


@dataclass
class GenerationRecord:
    """What a model answered to one sample in one epoch, or the error it ended in."""

    id: str
    """Identity in the run: the sample id, with ``#<n>`` after it from the second epoch on."""
    prompt: str | list[Any]
    """What was asked: text, or chat messages."""
    response: str | None
    """The answer; ``None`` exactly when ``error`` is set."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """Free; the library decides nothing by it."""
    sample_id: str | None = None
    """``None`` means ``id``."""
    epoch: int = 1
    sample_hash: str | None = None
    """Hash of the input fields and the reference."""
    cache_key: str | None = None
    """Hash of sample id, epoch, prompt, model identity and sampling; ``None`` counts as ``id``."""
    attempt: int = 1
    """One more than the record it redoes."""
    error: dict[str, Any] | None = None
    """``kind``, ``stage``, ``message``, ``status``, ``calls``."""
    finish_reason: str | None = None
    """As the server said."""
    model: str | None = None
    """As the server said."""
    usage: dict[str, Any] | None = None
    """``input_tokens``, ``output_tokens``, ``cached_tokens``, ``reasoning_tokens``."""
    cost: float | None = None
    """In the run's currency."""
    timing: dict[str, Any] | None = None
    """``started_at``, ``queue_s``, ``wait_s`` (limits and back-off), ``model_s``."""


@dataclass
class EvaluationRecord:
    """The scores of one generation, and all that lists and comparisons need. Errors have one too."""

    cache_key: str
    """Identity: the generation's cache key, or its id where it has none."""
    id: str
    """The generation's id."""
    scores: dict[str, float | int | bool | None] = field(default_factory=dict)
    """Metric name to number; ``None`` where there is none, with the reason in ``details``."""
    sample_id: str | None = None
    epoch: int = 1
    sample_hash: str | None = None
    group: str | None = None
    """Cluster of samples that belong together, such as one reading passage."""
    tags: list[str] = field(default_factory=list)
    reference: Any = None
    details: dict[str, Any] = field(default_factory=dict)
    """Metric name to what was extracted, or to why there is no score."""
    metric_versions: dict[str, str] = field(default_factory=dict)
    error: dict[str, Any] | None = None
    """``kind`` and ``stage``, or ``None``."""
    latency_s: float | None = None
    output_tokens: int | None = None
    cost: float | None = None
    attempt: int = 1
    """The generation's."""
    revision: int = 1
    """One more for each rescoring."""
    scored_at: float | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass
class MetricSummary:
    """One metric over a whole run, as attributes."""

    version: str | None = None
    count: int = 0
    """Scored answers."""
    mean: float | None = None
    """Over scored answers only."""
    stderr: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    ci_method: str | None = None
    """``wilson`` or ``normal``; ``None`` where no interval can be given."""
    clusters: int | None = None
    mean_errors_as_zero: float | None = None
    """The mean if every error had scored zero."""


@dataclass
class EvaluationReport:
    """The metrics of a report with attributes: ``report.evaluation_report.metrics["X"].mean``."""

    metrics: dict[str, MetricSummary]


@dataclass
class ExperimentReport:
    """What a finished run says. JSON fields only; its size does not grow with the number of samples."""

    run_id: str
    schema_version: int = SCHEMA_VERSION
    status: str = "completed"
    created_at: float | None = None
    asked: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    """``asked``, ``answered``, ``errors``, ``kept``."""
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Metric name to the fields of :class:`MetricSummary`."""
    failures: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Error kind to ``count`` and at most 20 ``sample_ids``."""
    by_tag: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Tag to metric name to ``count`` and ``mean``; at most 200 tags."""
    usage: dict[str, Any] = field(default_factory=dict)
    cost: float | None = None
    timing: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def evaluation_report(self) -> EvaluationReport:
        """``metrics`` with attributes; made anew at each call, so that ``__dict__`` stays the JSON."""
        known = MetricSummary.__dataclass_fields__
        return EvaluationReport(
            {
                name: MetricSummary(**{key: value for key, value in summary.items() if key in known})
                for name, summary in self.metrics.items()
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON object that is stored."""
        return dict(self.__dict__)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ExperimentReport:
        """The report that ``to_dict`` gave."""
        return cls(**data)
