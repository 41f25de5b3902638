"""The simulation of benchmarks/intervals.py, small: intervals hold the truth as often as they say."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

PLACE = Path(__file__).parents[2] / "benchmarks" / "intervals.py"


@pytest.fixture(scope="module")
def intervals():
    spec = spec_from_file_location("simulated_intervals", PLACE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_intervals_hold_the_truth(intervals, monkeypatch):
    monkeypatch.setattr(intervals, "SIZES", (20, 200))
    monkeypatch.setattr(intervals, "GROUPS", ((10, 5), (20, 10)))
    rows = list(intervals.coverages(np.random.default_rng(1), sets=1_500, bootstrapped=100, resamples=300))
    assert len(rows) == 2 * 4 + 1 + 4
    for row in rows:
        # Three standard errors of so few data sets about 93 to 97 of 100.
        slack = 3 * np.sqrt(0.05 * 0.95 / row.sets)
        assert 0.93 - slack < row.coverage < 0.97 + slack, row


def test_families_raise_few_false_alarms(intervals, monkeypatch):
    monkeypatch.setattr(intervals, "GROUPS", ((10, 5),))
    for row in intervals.alarms(np.random.default_rng(2), sets=200):
        assert row.coverage < 0.055 + 3 * np.sqrt(0.05 * 0.95 / row.sets), row
