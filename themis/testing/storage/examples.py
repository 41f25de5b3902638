"""Records, reports and metadata with something in every field, and the texts and values that break stores."""

from __future__ import annotations

import datetime
import math
from typing import Any

from themis.core.entities import EvaluationRecord, ExperimentReport, GenerationRecord


def generation(key: str, **fields: Any) -> GenerationRecord:
    """A plain answer with the identity ``key``."""
    given: dict[str, Any] = {"prompt": f"What is {key}?", "response": f"It is {key}.", **fields}
    return GenerationRecord(id=key, **given)


def evaluation(key: str, **fields: Any) -> EvaluationRecord:
    """A plain score with the identity ``key``."""
    given: dict[str, Any] = {"id": key, "scores": {"ExactMatch": 1.0}, **fields}
    return EvaluationRecord(cache_key=key, **given)


def full_generation() -> GenerationRecord:
    """A generation with every field set but ``error``."""
    return GenerationRecord(
        id="capital-1#2",
        prompt=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Čapital?"}],
        response="Paris 🗼",
        metadata=free_values(),
        sample_id="capital-1",
        epoch=2,
        sample_hash="0123456789abcdef" * 2,
        cache_key="fedcba9876543210" * 2,
        attempt=3,
        finish_reason="stop",
        model="small-1",
        usage={"input_tokens": 12, "output_tokens": 3, "cached_tokens": 0, "reasoning_tokens": None},
        cost=0.000125,
        timing={"started_at": 1_700_000_000.25, "queue_s": 0.5, "wait_s": 0.0, "model_s": 1.75},
    )


def failed_generation() -> GenerationRecord:
    """A generation that ended in an error."""
    return GenerationRecord(
        id="capital-2",
        prompt="Capital?",
        response=None,
        error={"kind": "timeout", "stage": "call", "message": "no answer", "status": 504, "calls": 3},
    )


def full_evaluation() -> EvaluationRecord:
    """An evaluation with every field set."""
    return EvaluationRecord(
        cache_key="fedcba9876543210" * 2,
        id="capital-1#2",
        scores={"ExactMatch": 1.0, "F1": 0.1 + 0.2, "Judge": None, "Count": 3, "Passed": True},
        sample_id="capital-1",
        epoch=2,
        sample_hash="0123456789abcdef" * 2,
        group="passage-7",
        tags=["geography", "ünïcode"],
        reference={"any_of": ["Paris", ["paris", 1]]},
        details={"ExactMatch": "Paris", "Judge": None},
        metric_versions={"ExactMatch": "1", "F1": "2"},
        error={"kind": "bad_response", "stage": "score"},
        latency_s=1.75,
        output_tokens=3,
        cost=0.000125,
        attempt=3,
        revision=2,
        scored_at=1_700_000_002.5,
        metadata=free_values(),
    )


def full_report(run_id: str) -> ExperimentReport:
    """A report with every field set."""
    return ExperimentReport(
        run_id=run_id,
        status="paused",
        created_at=1_700_000_000.25,
        asked={"benchmark": "demo", "limit": None},
        counts={"asked": 10, "answered": 9, "errors": 1, "kept": 0},
        metrics={"ExactMatch": {"version": "1", "count": 9, "mean": 2 / 3, "ci_method": "wilson"}},
        failures={"timeout": {"count": 1, "sample_ids": ["capital-2"]}},
        by_tag={"geography": {"ExactMatch": {"count": 9, "mean": 2 / 3}}},
        usage={"input_tokens": 120},
        cost=0.00125,
        timing={"wall_s": 12.5},
        metadata=free_values(),
    )


def full_metadata(run_id: str) -> dict[str, Any]:
    """Run metadata as a runner writes them, with the heavy parts that a listing leaves out."""
    return {
        "run_id": run_id,
        "schema_version": 1,
        "status": "running",
        "created_at": 1_700_000_000.25,
        "asked": {
            "benchmark": "demo",
            "model": {"name": "small-1", "base_url": None},
            "prompt": {"template": "{question}", "hash": "00" * 16},
            "system": "Be brief.",
        },
        "summary": {"headline": "ExactMatch", "metrics": {"ExactMatch": {"mean": 2 / 3, "n": 9}}},
        "progress": {"done": 9, "total": 10},
        "audit": [{"at": 1.5, "what": "started"}],
        "annotations": {"name": "ünïcode 🗼", "tags": ["a", "b"]},
        "free": {"list": [], "dict": {}, "empty": "", "none": None, "yes": True, "no": False, "one": 1},
    }


def free_values() -> dict[str, Any]:
    """Every kind of value that JSON has, at its edges."""
    return {
        "nothing": [None, "", [], {}, 0, 0.0, False],
        "floats": [5e-324, 1.7976931348623157e308, 0.1 + 0.2, 1e22, -1.5],
        "ints": [2**53 + 1, -(2**63), 2**64 - 1, 2**64, -(2**100)],
        "deep": [[[[{"a": [{"b": [1, 2]}]}]]]],
        "keys": {"": 1, " ": 2, "a.b": 3, "🗼": 4, '"\\': 5},
        "looks like": ["NaN", "null", "1", "[]", "true", "2024-01-01T00:00:00Z"],
    }


def hostile_texts() -> dict[str, str]:
    """Name to a text that some store, driver or encoder is known to change, cut or refuse."""
    planes = "".join(chr(p << 16 | low) for p in range(17) for low in (0, 1, 0x1234, 0xFFFD, 0xFFFE, 0xFFFF))
    return {
        "empty": "",
        "spaces": "  \t \n ",
        "NUL": "a\x00b\x00",
        "only NUL": "\x00",
        "lone high surrogate": "a\ud800b",
        "lone low surrogate": "\udfff",
        "surrogates in the wrong order": "\ude00\ud83d",
        "every lone surrogate": "-".join(map(chr, range(0xD800, 0xE000))),
        "surrogate beside astral": "\ud83d😀",
        "every plane": planes,
        "controls": "".join(map(chr, range(0x20))) + "\x7f" + "".join(map(chr, range(0x80, 0xA0))),
        "escape sequences": "\x1b[31mred\x1b[0m\x1b]0;title\x07\x9b2J",
        "line ends": "a\nb\r\nc\rd\x0be\x0cf\x1cg\x85h\u2028i\u2029j\n",
        "byte order mark": "\ufeffa\ufffe",
        "bidirectional": "\u202eabc\u202c\u2066d\u2069\u200f",
        "combining": "e\u0301 \u0065\u0301 é Å Å ﬁ",
        "looks like JSON": '{"id": "x"}\n[1, 2]\\n\\u0000 \\ud800 "',
        "backslashes": '\\ \\\\ \\" " \' / \\/ \\x00 %s {} $1',
        "SQL": "'; drop table run; -- \" ` ? :name $$",
        "every character": "".join(map(chr, (*range(0xD800), *range(0xE000, 0x110000, 7)))),
    }


def refused_values() -> dict[str, Any]:
    """Name to a value that JSON cannot give back as it was."""
    circle: list[Any] = []
    circle.append(circle)
    return {
        "NaN": math.nan,
        "infinity": math.inf,
        "minus infinity": -math.inf,
        "bytes": b"x",
        "tuple": (1, 2),
        "set": {1},
        "date": datetime.date(2024, 1, 1),
        "object": object(),
        "int key": {1: "one"},
        "None key": {None: "none"},
        "circle": circle,
    }


def hostile_run_ids() -> dict[str, str]:
    """Name to a text that must never become part of a path or key."""
    return {
        "empty": "",
        "dot": ".",
        "two dots": "..",
        "parent": "../x",
        "slash": "a/b",
        "absolute": "/etc/passwd",
        "backslash": "a\\b",
        "leading dash": "-x",
        "leading dot": ".x",
        "trailing dot": "x.",
        "too long": "x" * 81,
        "unicode": "rün",
        "unicode digit": "run-\u0661",
        "NUL": "a\x00b",
        "surrogate": "a\ud800",
        "newline": "run\n",
        "space": "a b",
        "tilde": "a~notes",
        "percent": "a%2fb",
        "colon": "a:b",
    }
