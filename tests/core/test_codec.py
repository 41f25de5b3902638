"""What is stored comes back equal, or is refused with the path to what cannot."""

from __future__ import annotations

import enum
import gc
import json
import math
import random
import string
import threading
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from themis.core.codec import (
    check_value,
    decode_document,
    decode_lines,
    decode_report,
    encode_document,
    encode_line,
    encode_lines,
    encode_report,
    paused_gc,
)
from themis.core.entities import EvaluationRecord, ExperimentReport, GenerationRecord
from themis.core.errors import RecordRefused, SchemaTooNew, StoreCorrupt

TEXTS = [
    "",
    "plain",
    "\x00",
    "a\x00b\x1b[31m\x7f\x85",
    "\n\r\u2028\u2029",
    "\ud800",
    "x\udfffy",
    "\udfff\ud800",
    "é ß 漢字 עברית",
    "😀👨‍👩‍👧 \U0010ffff\ufffe\uffff",
    '\\u0000 \\ " / </script>',
]
NUMBERS = [0, -1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**60]
FLOATS = [0.0, -0.0, 0.1, 1e300, 5e-324, -1.5e-7, 1e16, 123456789.123456789, 1.7976931348623157e308]


def generation(**more: Any) -> GenerationRecord:
    return GenerationRecord(**{"id": "s1", "prompt": "p", "response": "r", **more})


def evaluation(**more: Any) -> EvaluationRecord:
    return EvaluationRecord(**{"cache_key": "k1", "id": "s1", **more})


def random_value(chance: random.Random, depth: int) -> Any:
    kind = chance.randrange(8 if depth else 6)
    if kind == 6:
        return [random_value(chance, depth - 1) for _ in range(chance.randrange(5))]
    if kind == 7:
        return {random_text(chance): random_value(chance, depth - 1) for _ in range(chance.randrange(5))}
    return chance.choice(
        [
            None,
            chance.random() < 0.5,
            chance.choice(NUMBERS),
            chance.choice(FLOATS),
            chance.uniform(-1e9, 1e9),
            random_text(chance),
        ]
    )


def random_text(chance: random.Random) -> str:
    letters = "".join(chance.choices(string.printable + "\x00éß漢😀\ud800", k=chance.randrange(12)))
    return chance.choice([letters, chance.choice(TEXTS)])


def same(left: Any, right: Any) -> bool:
    """Equal, in kind and sign too, which == does not ask for."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float):
        return left == right and math.copysign(1, left) == math.copysign(1, right)
    return bool(left == right)


def back(record: Any) -> Any:
    (loaded,), torn = decode_lines(encode_line(record), type(record))
    assert torn == b""
    return loaded


# Round trips


@pytest.mark.parametrize("seed", range(40))
def test_any_record_comes_back_equal(seed: int) -> None:
    chance = random.Random(seed)
    records = [
        generation(
            id=random_text(chance),
            prompt=random_text(chance),
            response=chance.choice([None, random_text(chance)]),
            metadata={random_text(chance): random_value(chance, 4) for _ in range(3)},
            usage={"input_tokens": chance.choice(NUMBERS)},
            cost=chance.choice(FLOATS),
        )
        for _ in range(25)
    ]
    # Two halves of one character side by side are the one text that JSON joins.
    records = [each for each in records if not joins(each.__dict__)]
    loaded, torn = decode_lines(encode_lines(records), GenerationRecord)
    assert torn == b""
    assert len(records) > 10
    assert all(same(one.__dict__, other.__dict__) for one, other in zip(records, loaded, strict=True))


def joins(value: Any) -> bool:
    text = repr(json.loads(json.dumps(value)))
    return text != repr(value)


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_comes_back_exactly(text: str) -> None:
    record = generation(id=text, prompt=text, response=text, metadata={text: [text]})
    assert back(record) == record
    assert json.loads(encode_line(record)) == record.__dict__
    scored = evaluation(id=text, reference={"a": text}, details={text: text}, tags=[text])
    assert back(scored) == scored


def test_one_hostile_record_does_not_change_its_neighbours() -> None:
    records = [
        generation(id=str(n), response=text) for n, text in enumerate(["\x00", "\ud800", "é", "plain"])
    ]
    assert decode_lines(encode_lines(records), GenerationRecord).records == records


@pytest.mark.parametrize("number", NUMBERS + FLOATS)
def test_any_number_comes_back_exactly(number: float) -> None:
    assert same(back(generation(metadata={"n": number})).metadata, {"n": number})
    assert same(back(evaluation(scores={"m": number})).scores, {"m": number})


def test_a_line_is_one_line() -> None:
    line = encode_line(generation(response="a\nb\r\u2028\x00"))
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1


def test_ten_megabytes_come_back() -> None:
    record = generation(response="😀é" * 2_000_000 + "\x00")
    assert back(record) == record


def test_ten_megabytes_with_half_a_character_come_back() -> None:
    record = generation(response="x" * 10_000_000 + "\ud800")
    assert back(record) == record


def test_deep_values_come_back_and_deeper_ones_are_refused() -> None:
    def nested(depth: int) -> Any:
        value: Any = "core"
        for _ in range(depth):
            value = [value]
        return value

    deep = generation(metadata={"v": nested(190)})
    assert back(deep) == deep
    with pytest.raises(RecordRefused, match=r"metadata\.v\[0\]\[0\].*nested more than 200 levels"):
        encode_line(generation(metadata={"v": nested(300)}))
    with pytest.raises(RecordRefused, match="nested"):
        encode_document({"v": nested(100_000)})


def test_what_holds_itself_is_refused() -> None:
    loop: dict[str, Any] = {}
    loop["again"] = loop
    with pytest.raises(RecordRefused, match=r"again\.again"):
        encode_line(generation(metadata=loop))


# Refused


class Colour(enum.StrEnum):
    RED = "red"


class Whole(int):
    pass


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (float("nan"), "metadata.v is nan"),
        (float("inf"), "metadata.v is inf"),
        ([1, [2, float("-inf")]], r"metadata.v\[1\]\[1\] is -inf"),
        ({"a": {"b": [b"x"]}}, r"metadata.v.a.b\[0\] is a builtins.bytes"),
        ((1, 2), "metadata.v is a builtins.tuple"),
        ({1, 2}, "metadata.v is a builtins.set"),
        (date(2026, 1, 1), "metadata.v is a datetime.date"),
        ({1: "x"}, "metadata.v has the key 1"),
        ({"a": {None: 1}}, "metadata.v.a has the key None"),
        ({"a": {(): 1}}, "metadata.v.a has the key"),
        (Colour.RED, r"metadata.v is a .*Colour"),
        (Whole(3), r"metadata.v is a .*Whole"),
        (object, "metadata.v is a builtins.type"),
        (1j, "metadata.v is a builtins.complex"),
    ],
)
def test_what_json_cannot_give_back_is_refused_with_its_path(value: Any, path: str) -> None:
    for record in (generation(metadata={"v": value}), generation(metadata={"fine": 1, "v": value})):
        with pytest.raises(RecordRefused, match=f"^{path}"):
            encode_line(record)
    with pytest.raises(RecordRefused, match=f"^{path.removeprefix('metadata.')}"):
        encode_document({"v": value})
    with pytest.raises(RecordRefused, match=f"^{path.removeprefix('metadata.')}"):
        check_value({"v": value})


@pytest.mark.parametrize("field", ["cost", "prompt", "error", "timing", "usage"])
def test_every_field_is_looked_at(field: str) -> None:
    with pytest.raises(RecordRefused, match=f"^{field}"):
        encode_line(generation(**{field: {"a": float("nan")}}))
    with pytest.raises(RecordRefused, match=f"^{field} is a builtins.bytes"):
        encode_line(generation(**{field: b""}))


@pytest.mark.parametrize("field", ["scores", "reference", "details", "tags", "metric_versions", "latency_s"])
def test_every_field_of_an_evaluation_is_looked_at(field: str) -> None:
    for value in (float("inf"), [float("inf")], {"a": [set()]}):
        with pytest.raises(RecordRefused, match=f"^{field}"):
            encode_line(evaluation(**{field: value}))


def test_a_bad_record_among_good_ones_refuses_the_whole_batch() -> None:
    versions = {"ExactMatch": "1"}
    good = [evaluation(cache_key=str(n), metric_versions=versions) for n in range(5)]
    bad = evaluation(metric_versions={"ExactMatch": float("nan")})
    with pytest.raises(RecordRefused, match=r"^metric_versions\.ExactMatch is nan"):
        encode_lines([*good, bad])


@pytest.mark.parametrize("text", ["\ud83d\ude00", "a\ud800\udc00b"])
def test_two_halves_side_by_side_are_refused(text: str) -> None:
    # Python tells this text from the one character; JSON does not.
    with pytest.raises(RecordRefused, match=r"metadata\.v\[1\] holds two surrogates side by side"):
        encode_line(generation(metadata={"v": ["", text]}))
    with pytest.raises(RecordRefused, match="side by side"):
        encode_line(generation(metadata={text: 1}))


# Files as they are found


def test_an_unfinished_last_line_comes_back_as_torn() -> None:
    first, second = encode_line(generation(id="a")), encode_line(generation(id="é😀"))
    for cut in range(len(second)):
        records, torn = decode_lines(first + second[:cut], GenerationRecord)
        assert [each.id for each in records] == ["a"]
        assert torn == second[:cut]


def test_nothing_holds_nothing() -> None:
    assert decode_lines(b"", GenerationRecord) == ([], b"")
    assert decode_lines(b"\n\n", GenerationRecord) == ([], b"")


@pytest.mark.parametrize(
    "broken",
    [
        b'{"id": "b", "prom',
        b"not json",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b'{"id": "b"}',
        b"\xff\xfe",
        b"\x00\x00\x00\x00",
        b"[" * 100_000,
    ],
    ids=lambda broken: broken[:10].decode("latin1"),
)
def test_a_corrupt_line_is_named(broken: bytes) -> None:
    good = encode_line(generation())
    with pytest.raises(StoreCorrupt, match=r"^run\.jsonl, line 3: not a record"):
        decode_lines(good + good + broken + b"\n" + good, GenerationRecord, "run.jsonl")


def test_a_corrupt_line_is_named_beside_one_with_half_a_character() -> None:
    lines = encode_line(generation(response="\ud800")) + b"oops\n"
    with pytest.raises(StoreCorrupt, match="line 2"):
        decode_lines(lines, GenerationRecord, "x")


def test_fields_of_a_newer_version_are_passed_over() -> None:
    newer = {**generation(id="é").__dict__, "colour": {"deep": [1]}, "speed": 3}
    plain = json.dumps(newer).encode() + b"\n"
    (by_fast_path,), _ = decode_lines(plain, GenerationRecord)
    assert by_fast_path == generation(id="é")
    # A line that the fast path does not read goes the other way.
    halved = json.dumps({**newer, "response": "\ud800"}).encode() + b"\n"
    (by_fallback,), _ = decode_lines(halved, GenerationRecord)
    assert by_fallback == generation(id="é", response="\ud800")


def test_fields_of_an_older_version_get_their_defaults() -> None:
    line = b'{"id": "a", "prompt": "p", "response": "r"}\r\n'
    assert decode_lines(line, GenerationRecord).records == [GenerationRecord("a", "p", "r")]


@pytest.mark.parametrize("number", ["1e400", "-1e400", "NaN", "Infinity", "-Infinity"])
def test_numbers_that_could_not_have_been_saved_are_corrupt(number: str) -> None:
    line = b'{"id": "a", "prompt": "p", "response": "r", "metadata": {"v": %s}}\n' % number.encode()
    with pytest.raises(StoreCorrupt, match=rf"^x, line 1: not a record \({number} is a number"):
        decode_lines(line, GenerationRecord, "x")
    with pytest.raises(StoreCorrupt, match=rf"^run\.json is not JSON: {number}"):
        decode_document(b'{"v": %s}' % number.encode(), "run.json")


WRONG_KINDS = [
    ("attempt", "2"),
    ("attempt", None),
    ("attempt", 1.5),
    ("attempt", True),
    ("epoch", [1]),
    ("id", 7),
    ("id", None),
    ("cache_key", 7),
    ("metadata", None),
    ("metadata", "text"),
    ("error", "text"),
]


@pytest.mark.parametrize(("field", "value"), WRONG_KINDS)
def test_a_field_of_a_wrong_kind_is_refused_and_where_it_is_stored_it_is_corrupt(
    field: str, value: Any
) -> None:
    for record in (generation(), evaluation()):
        wrong = replace(record, **{field: value})
        with pytest.raises(RecordRefused, match=f"^{field} is "):
            encode_line(wrong)
        stored = encode_line(record) * 2 + json.dumps(wrong.__dict__).encode() + b"\n"
        with pytest.raises(StoreCorrupt, match=f"^x, line 3: not a record .{field} is "):
            decode_lines(stored, type(record), "x")


def test_what_merely_describes_may_be_any_scalar() -> None:
    odd = generation(finish_reason=3, model=False, cost=True)
    assert same(back(odd).__dict__, odd.__dict__)
    odd = evaluation(output_tokens=12.0, scores={"F1": "high"})
    assert same(back(odd).__dict__, odd.__dict__)


def test_lines_are_counted_from_where_a_piece_of_a_file_begins() -> None:
    with pytest.raises(StoreCorrupt, match="line 1002"):
        decode_lines(encode_line(generation()) + b"oops\n", GenerationRecord, "x", first_line=1001)


def test_of_a_repeated_key_the_last_counts() -> None:
    line = b'{"id": "a", "id": "b", "prompt": "p", "response": "r", "metadata": {"k": 1, "k": 2}}\n'
    (record,), _ = decode_lines(line, GenerationRecord)
    assert (record.id, record.metadata) == ("b", {"k": 2})
    halved = line.replace(b'"r"', b'"\\ud800"')
    (record,), _ = decode_lines(halved, GenerationRecord)
    assert (record.id, record.metadata) == ("b", {"k": 2})


# Documents


@pytest.mark.parametrize("seed", range(20))
def test_any_document_comes_back_equal(seed: int) -> None:
    chance = random.Random(seed)
    document = {"value": random_value(chance, 5)}
    if not joins(document):
        assert same(decode_document(encode_document(document, exact_text=True)), document)


@pytest.mark.parametrize("text", ["\x00", "a\ud800", "\udfff"])
def test_documents_refuse_what_not_every_store_can_query(text: str) -> None:
    with pytest.raises(RecordRefused, match=r"^tags\[1\]\.note holds NUL or a lone surrogate"):
        encode_document({"tags": ["fine", {"note": text}]})
    with pytest.raises(RecordRefused, match=r"^tags\.<key> holds NUL"):
        encode_document({"tags": {text: 1}})
    with pytest.raises(RecordRefused, match=r"^the document holds NUL"):
        encode_document(text)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a": 1} x'])
def test_a_document_that_is_no_json_is_named(data: bytes) -> None:
    with pytest.raises(StoreCorrupt, match=r"^run\.json is not JSON"):
        decode_document(data, "run.json")


def test_a_report_comes_back_with_any_text() -> None:
    report = ExperimentReport(
        "r1", metadata={"text": "\x00\ud800😀"}, metrics={"M": {"mean": -0.0, "count": 3}}
    )
    loaded = decode_report(encode_report(report))
    assert loaded == report
    assert loaded.evaluation_report.metrics["M"].mean == 0


def test_a_report_of_a_newer_schema_is_refused_with_what_helps() -> None:
    data = json.dumps({**ExperimentReport("r1").__dict__, "schema_version": 99}).encode()
    with pytest.raises(SchemaTooNew, match=r"report\.json has schema version 99.*pip install -U themis-tui"):
        decode_report(data, "report.json")


def test_a_report_with_more_fields_is_read() -> None:
    data = json.dumps({**ExperimentReport("r1").__dict__, "colour": 1}).encode()
    assert decode_report(data) == ExperimentReport("r1")


@pytest.mark.parametrize("data", [b"[]", b"3", b"{}", b'{"status": "completed"}'])
def test_what_is_no_report_is_named(data: bytes) -> None:
    with pytest.raises(StoreCorrupt, match=r"report\.json is not a"):
        decode_report(data, "report.json")


# The garbage collector


def test_the_collector_rests_while_many_records_are_made() -> None:
    assert gc.isenabled()
    with paused_gc():
        assert not gc.isenabled()
        with paused_gc():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_the_collector_works_again_after_an_error() -> None:
    with pytest.raises(KeyError):
        with paused_gc():
            raise KeyError
    assert gc.isenabled()


def test_a_collector_that_somebody_switched_off_stays_off() -> None:
    gc.disable()
    try:
        with paused_gc():
            with paused_gc():
                pass
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
    with paused_gc():
        pass
    assert gc.isenabled()


def test_the_collector_rests_until_the_last_of_several_threads_is_done() -> None:
    inside, leave = threading.Event(), threading.Event()

    def load() -> None:
        with paused_gc():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=load)
    with paused_gc():
        thread.start()
        assert inside.wait(10)
    assert not gc.isenabled()
    leave.set()
    thread.join(10)
    assert gc.isenabled()
