"""Documents: whole, and harmless whatever a store holds."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from tests.compare.stored import save_run
from themis.backends import MemoryStorageBackend
from themis.compare import compare_runs
from themis.compare.report import FORMATS, written
from themis.compare.report_markdown import code, prose
from themis.core.entities import EvaluationRecord
from themis.core.errors import UsageError

EVIL = '=HYPERLINK("http://evil")</td><script>alert(1)</script>|`x`\n![i](http://evil)\x1b[2J\u202e'


@pytest.fixture
def ordinary():
    store = MemoryStorageBackend()
    save_run(store, "a", {"ExactMatch": [0, 1] * 30, "F1": [0.2, 0.9] * 30})
    save_run(store, "b", {"ExactMatch": [1, 1] * 30, "F1": [0.3, 0.8] * 30}, errors=[5])
    save_run(store, "c", {"ExactMatch": [0, 0] * 30, "F1": [0.3, 0.7] * 30})
    return compare_runs([(store, each) for each in "abc"])


@pytest.fixture
def hostile():
    store = MemoryStorageBackend()
    for run_id, scores in (("a", [0, 1, 1, 0]), ("b", [1, 0, 1, 0])):
        asked = {"benchmark": EVIL, "system": f"{run_id}{EVIL}", "model": {"name": EVIL, "identity": EVIL}}
        save_run(store, run_id, {EVIL: scores}, asked=asked, tags=[[EVIL]] * 4)
        store.save_evaluation_record(
            run_id,
            EvaluationRecord(cache_key="e", id=EVIL, scores={EVIL: int(run_id == "b")}, tags=[EVIL]),
        )
    return compare_runs([(store, "a"), (store, "b")])


class Page(HTMLParser):
    """The tags of a page and its words."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words = set(), set(), ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.words += data


@pytest.mark.parametrize("wanted", FORMATS)
@pytest.mark.parametrize("flips", [False, True])
def test_each_format_says_the_same(ordinary, wanted, flips):
    text = written(ordinary, wanted, flips=flips)
    assert "ExactMatch" in text
    assert text.endswith("\n")
    assert ("s000" in text) is flips


def test_html_is_one_file_that_may_do_nothing(ordinary):
    text = written(ordinary, "html", flips=True)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy is not None
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy[1].startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    page = Page(text)
    assert "svg" in page.tags
    assert not page.attributes & {"style", "src", "href", "srcset", "onclick"}


def test_hostile_text_in_html_is_only_text(hostile):
    page = Page(written(hostile, "html", flips=True))
    assert not page.tags & {"script", "img", "a", "iframe", "object", "form"}
    assert "<script>alert(1)</script>" in page.words
    assert "\x1b" not in page.words
    assert "\u202e" not in page.words


def test_hostile_text_in_markdown_is_only_text(hostile):
    text = written(hostile, "md", flips=True)
    assert "\x1b" not in text
    outside = re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "", text)
    assert "<script" not in outside.replace("\\<", "")
    assert not re.search(r"(?<!\\)!\[", outside)
    assert "http://" not in outside
    for line in text.splitlines():
        if line.startswith("|"):  # no cell of a table splits it
            assert len(re.findall(r"(?<!\\)\|", line)) in (4, 5, 7, 8)


def test_hostile_text_in_csv_is_no_formula(hostile):
    for flips in (False, True):
        for row in csv.reader(written(hostile, "csv", flips=flips).splitlines(keepends=True)):
            for value in row:
                assert not value.lstrip().startswith(("=", "@", "+"))
                assert not re.match(r"-\D", value)
                assert "\x1b" not in value


def test_json_is_exact(hostile):
    text = written(hostile, "json", flips=True)
    assert text.isascii()
    found = json.loads(text)
    assert found["metrics"] == [EVIL]
    assert EVIL in [each["sample_id"] for each in found["pairs"][0]["samples"][EVIL]]
    assert found["pairs"][0]["flips"][0]["by_tag"][0]["tag"] == EVIL


def test_csv_has_a_line_for_each_metric_of_each_pair(ordinary):
    rows = list(csv.DictReader(written(ordinary, "csv").splitlines()))
    assert [(row["candidate"], row["metric"]) for row in rows] == [
        ("b", "ExactMatch"),
        ("b", "F1"),
        ("c", "ExactMatch"),
        ("c", "F1"),
    ]
    first = ordinary.pairs[0].metrics[0]
    assert float(rows[0]["p_holm"]) == first.p_holm
    assert rows[0]["other_errors"] == "zero"
    samples = list(csv.DictReader(written(ordinary, "csv", flips=True).splitlines()))
    assert len(samples) == 2 * (59 + 60)


def test_an_unknown_format(ordinary):
    with pytest.raises(UsageError, match="md, html, csv, json"):
        written(ordinary, "pdf")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a|b", "`a\\|b`"), ("`", "`` ` ``"), ("a``b", "```a``b```"), ("", "` `"), ("a\nb", "`a⏎b`")],
)
def test_code_in_markdown(text, expected):
    assert code(text) == expected


def test_prose_in_markdown():
    assert prose("*a* <b> http://x") == "\\*a\\* \\<b\\> http: //x"
