"""Texts made to be obeyed, and a store that is full of them; the same for the same seed."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from pathlib import Path

import tomlkit

from themis.backends import LocalStorageBackend
from themis.core.directories import data_dir, profiles_path, state_dir
from themis.core.entities import EvaluationRecord, GenerationRecord
from themis.core.safe_text import storable

PAYLOAD = "PWNED"
"""Stands in every sequence, so that one that got through is known by it."""
PROFILES = 8
"""Texts that are in profiles too."""
_MARKUP = (
    "[/]",
    "[/foo]",
    "[bold",
    '[x="',
    "[@click=app.quit]PWNED[/]",
    "[@click=app.bell()]PWNED",
    "[link=https://example.org/PWNED]here[/link]",
    "[link=file:///etc/passwd]",
    "[on red]",
    "[$bad]",
    "[bold][/italic]",
    "\\[",
    "[b +",
    "{PWNED}",
    "%s%n%d",
    "$accent",
    "[red on",
    "[]",
    "[[]]",
    "[!]",
    "[true, false, null]",
    ":smile:",
    "<b>&amp;</b>",
)
_SEQUENCES = (
    "\x1b[2J",
    "\x1b[H",
    "\x1b[999;999H",
    "\x1b[31m",
    "\x1b[?1049l",
    "\x1b[?25h",
    "\x1b[?1000h",
    "\x1b[6n",
    "\x1b[c",
    "\x1b[21t",
    "\x1b[8;5;5t",
    "\x1b[?2026h",
    "\x1b[3J",
    "\x1b[5i",
    "\x1b[1;2r",
    "\x1b[>4;1m",
    "\x1b[=5u",
    "\x1b]0;PWNED\x07",
    "\x1b]2;PWNED\x1b\\",
    "\x1b]52;c;UFdORUQ=\x07",
    "\x1b]52;p;UFdORUQ=\x1b\\",
    "\x1b]52;c;?\x07",
    "\x1b]8;;https://example.org/PWNED\x07here\x1b]8;;\x07",
    "\x1b]4;1;?\x07",
    "\x1b]10;?\x07",
    "\x1b]9;PWNED\x07",
    "\x1b]777;notify;PWNED;PWNED\x07",
    "\x1b]1337;File=name=UFdORUQ=:UFdORUQ=\x07",
    "\x1b]22;crosshair\x07",
    '\x1bP$q"p\x1b\\',
    "\x1bP+q5057\x1b\\",
    "\x1bPtmux;\x1b\x1b]52;c;UFdORUQ=\x07\x1b\\",
    "\x1b_GPWNED\x1b\\",
    "\x1b^PWNED\x1b\\",
    "\x1bXPWNED\x1b\\",
    "\x1bc",
    "\x1b7",
    "\x1b#8",
    "\x1b(0",
    "\x1bZ",
    "\x1b",
    "\x1b[",
    "\x1b]",
    "\x1bP",
    "\x1b]52;c;",
    "\x9b2J",
    "\x9b31m",
    "\x9d52;c;UFdORUQ=\x9c",
    "\x9d0;PWNED\x07",
    "\x90PWNED\x9c",
    "\x9fPWNED\x9c",
    "\x85",
    "\x8d",
    "\x84",
    "\xc2\x9b31m",
)
_BIDI = (
    "\u202ePWNED\u202c",
    "\u2066PWNED\u2069",
    "\u202a\u202b\u202d",
    "\u200e\u200f\u061c",
    "\u2067شلوم\u2069",
    "\u202e\u2066// PWNED\u2069",
)
_ODD = (
    "\ud800",
    "\udfff\ud800",
    "\udc80\udcff",
    "\x00",
    "a\x00b",
    "\u2028\u2029",
    "\ufeff",
    "\ufff9PWNED\ufffb",
    "\U000e0050\U000e0057\U000e004e",
    "\u200b\u2060",
    "\xad",
    "\uffff",
    "\U0010ffff",
    "\x7f" * 9,
    "\x08" * 40,
    "\x07" * 20,
    "\x0b\x0c",
    "\x0e\x0f",
    "\x05",
    "\x18\x1a",
)
_EMOJI = (
    "❤️",
    "👩‍👩‍👧‍👦",
    "🇩🇪🇫🇷🇯",
    "👍🏽",
    "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "1️⃣",
    "☺︎☺️",
    "🧑🏿‍🚀" * 9,
    "️️‍‍",
    "漢字ｶﾅ",
    "ﷺ",
    "𒐫",
    "한글",
    "क्षि",
)
_BREAKS = ("\r", "\r\n", "\n", "\t", "\t" * 30, "\n" * 30, " \r ", "x\ry", "\v", "\x1e\x1f", "\n\r")


def _mixed(dice: random.Random) -> str:
    words = ["plain words", "0.5", "https://example.org", "ünïcödé", "  ", "-", "=cmd()", "PWNED"]
    every = (*_MARKUP, *_SEQUENCES, *_BIDI, *_ODD, *_EMOJI, *_BREAKS, *words)
    return "".join(dice.choices(every, k=dice.randint(2, 30)))


def _noise(dice: random.Random) -> str:
    most = dice.choice((0x20, 0x100, 0x3000, 0x110000))
    return "".join(chr(dice.randrange(most)) for _ in range(dice.randint(1, 400)))


def _flood(dice: random.Random) -> str:
    return "e" + dice.choice(("\u0301", "\u0489", "\u20dd", "\u200d", "\ufe0f")) * dice.randint(50, 5_000)


def _long_line(dice: random.Random) -> str:
    piece = dice.choice(("x", "漢", "\x1b[31mPWNED", "[/]", "👩‍👩‍👧", "\u0301", " ", "\t", "\x9b2J"))
    return piece * (1_000_000 // len(piece))


def _many_lines(dice: random.Random) -> str:
    return dice.choice(("\n", "line\n", "\x1b[2J\n", "\r\n", "[/]\n")) * 100_000


_PAIR = re.compile("[\ud800-\udbff](?=[\udc00-\udfff])")

_KINDS: tuple[tuple[int, Callable[[random.Random], str]], ...] = (
    (30, lambda dice: dice.choice(_SEQUENCES)),
    (15, lambda dice: dice.choice(_MARKUP)),
    (6, lambda dice: dice.choice(_BIDI)),
    (8, lambda dice: dice.choice(_ODD)),
    (6, lambda dice: dice.choice(_EMOJI)),
    (5, lambda dice: dice.choice(_BREAKS)),
    (30, _mixed),
    (12, _noise),
    (3, _flood),
)


def hostile_texts(seed: int, count: int) -> list[str]:
    """``count`` texts; one in 200 is a line of a megabyte, one a hundred thousand lines."""
    dice = random.Random(seed)
    chances, makers = [chance for chance, _ in _KINDS], [make for _, make in _KINDS]
    made = []
    for number in range(count):
        if number % 200 == 20:
            made.append(_long_line(dice))
        elif number % 200 == 120:
            made.append(_many_lines(dice))
        else:
            made.append(dice.choices(makers, chances)[0](dice))
    # No store takes a pair of surrogates: in JSON it would be another text.
    return [_PAIR.sub("", each) for each in made]


def harmless_texts(count: int) -> list[str]:
    """Texts of the same lengths that no terminal obeys."""
    return [("a few plain words " * (number % 20 + 1)).strip() for number in range(count)]


class World:
    """A store in which each text is every part of a run and of a sample, one after another.

    With ``new`` texts for each sample, a text is only some parts, and a store of many texts is smaller.
    """

    def __init__(self, texts: list[str], *, per_run: int = 50, new: int = 1) -> None:
        self._texts = texts
        self._new = new
        self._samples = len(texts) // new
        self.per_run = per_run
        self.runs = [f"r{number:05}" for number in range(self._samples)]
        """As the list shows them. Every text is in the metadata of one."""
        self.opened = self.runs[: -(-self._samples // per_run)]
        """Those that have samples."""
        self.profiles = 2 + 2 * min(len(texts), PROFILES)
        """How many profiles there are; most of them are broken."""

    def __len__(self) -> int:
        return self._samples

    def sample_ids(self, place: int) -> list[str]:
        """How the ids of the samples of an opened run begin."""
        first = place * self.per_run
        return [f"S{number:05}" for number in range(first, min(first + self.per_run, len(self)))]

    def _text(self, number: int, step: int = 0) -> str:
        return self._texts[(number * self._new + step) % len(self._texts)]

    def save(self) -> None:
        store = LocalStorageBackend()
        now = time.time()
        (state_dir() / "logs").mkdir(parents=True, exist_ok=True)
        for place, run_id in enumerate(self.runs):
            store.save_run_metadata(run_id, self._metadata(run_id, place, now - place))
        for place, run_id in enumerate(self.opened):
            numbers = range(place * self.per_run, min((place + 1) * self.per_run, len(self)))
            store.save_generation_records(run_id, map(self._generation, numbers))
            store.save_evaluation_records(run_id, map(self._evaluation, numbers))
            self._save_log(run_id, place)
        self._save_twin(store)
        store.flush()
        store.close()
        self._save_profiles()

    def _save_twin(self, store: LocalStorageBackend) -> None:
        """Let the last run have the samples of the first, answered otherwise, to be compared with it."""
        numbers = range(min(self.per_run, len(self)))
        generations = [self._generation(number) for number in numbers]
        evaluations = [self._evaluation(number) for number in numbers]
        for number, generation, evaluation in zip(numbers, generations, evaluations, strict=True):
            generation.response = None if generation.error else self._text(number, 4)
            if evaluation.scores["hits"] is not None:
                evaluation.scores["hits"] = 1 - evaluation.scores["hits"]
        store.save_generation_records(self.runs[-1], generations)
        store.save_evaluation_records(self.runs[-1], evaluations)

    def _save_profiles(self) -> None:
        texts = [storable(each)[:300] for each in self._texts[:PROFILES]]
        # Beside these the file takes whatever has no control characters.
        spoken = ["".join(each for each in text if each >= " " and each != "\x7f") for text in texts]
        root = data_dir() / "elsewhere" / (spoken[-1].replace("/", " ").strip()[:40] or "x")
        tables = {
            "storage": {"here": {"type": "local", "root": str(root)}, f"not {texts[0]}": {"type": texts[1]}},
            "executor": {f"x{n} {text}": {"type": text, text: text} for n, text in enumerate(texts)},
            "endpoint": {
                f"m{n}": {"base_url": f"http://127.0.0.1:9/{text}", "model": text or "m"}
                for n, text in enumerate(spoken)
            },
        }
        profiles_path().parent.mkdir(parents=True, exist_ok=True)
        profiles_path().write_text(tomlkit.dumps(tables), encoding="utf-8")

    def _save_log(self, run_id: str, place: int) -> None:
        texts = [self._text(number) for number in range(place * self.per_run, (place + 1) * self.per_run)]
        log: Path = state_dir() / "logs" / f"{run_id}-20260101-000000-abcdef.log"
        log.write_bytes("\n".join(texts).encode("utf-8", "surrogatepass") + bytes(range(0x80, 0x100)))

    def _metadata(self, run_id: str, place: int, created: float) -> dict[str, object]:
        said = [storable(self._text(place, step * 7)) for step in range(12)]
        short = [each[:20_000] for each in said]
        words = ("paused", "failed", "running", "completed", short[11])
        status = words[place % len(words)]
        metric = {"mean": 0.5, "stderr": 0.1, "n": 3}
        return {
            "run_id": run_id,
            "schema_version": 1,
            "status": status,
            "status_reason": said[0],
            "created_at": created,
            "updated_at": created + 1e6,
            "asked": {
                "benchmark": short[1],
                "model": {"name": short[2]},
                "prompt": {"template": short[3]},
                "system": short[4],
                "metrics": {short[5]: {}},
                "sampling": {short[6]: short[7]},
            },
            "where": {"executor": short[8], "host": short[9], "user": short[10], "storage": short[11]},
            "summary": {
                "headline": "hits",
                "metrics": {"hits": metric, short[5]: metric},
                "done": 2,
                "total": 3,
            },
            "progress": {
                "run_id": run_id,
                "done": 2,
                "total": 3,
                "failed": {short[1]: 2},
                "metrics": {short[2]: {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 3}},
                "executor": {"name": short[3], "concurrency": 3, "reason": short[4]},
                "waiting": {"reason": short[5]},
            },
            "annotations": {
                "name": f"{run_id} {short[6]}",
                "tags": [short[7], short[8]],
                "note": short[9],
            },
        }

    def _generation(self, number: int) -> GenerationRecord:
        said = self._said(number)
        error = {"kind": said[1], "stage": said[2], "message": said[3]} if number % 3 == 2 else None
        asked = f"P{number:05} {said[4]}"
        return GenerationRecord(
            id=self._id(number),
            prompt=asked if number % 2 else [{"role": said[5], "content": asked}, {"role": said[6]}],
            response=None if error else said[5],
            metadata={said[6]: said[7]},
            cache_key=str(number),
            error=error,
            finish_reason=said[2],
            model=said[1],
        )

    def _evaluation(self, number: int) -> EvaluationRecord:
        said = self._said(number)
        return EvaluationRecord(
            cache_key=str(number),
            id=self._id(number),
            scores={"hits": None if number % 3 == 2 else number % 2, said[1]: 1},
            reference=said[2],
            details={said[1]: said[3], "hits": said[4]},
            tags=[said[5]],
            error={"kind": said[6], "stage": said[7]} if number % 3 == 2 else None,
        )

    def _said(self, number: int) -> list[str]:
        """Eight texts in a row; a huge one stands where 4 and 5 are shown: as question and as answer."""
        said = [self._text(number, step) for step in range(8)]
        return [each if place in (4, 5) else each[:5_000] for place, each in enumerate(said)]

    def _id(self, number: int) -> str:
        return f"S{number:05} {self._text(number)[:5_000]}"
