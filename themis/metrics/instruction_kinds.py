"""The 25 kinds of instruction of IFEval, each a test of an answer.

From: Zhou, Lu, Mishra, Brahma, Basu, Luan, Zhou, Hou, "Instruction-Following Evaluation for Large Language
Models", arXiv:2311.07911, 2023. What each one accepts follows the paper's own checkers, so that figures can
be compared; only sentences and capital words are told apart by our own rules, where those use a trained
model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from themis.metrics.languages import language_of

CONSTRAINED = ("My answer is yes.", "My answer is no.", "My answer is maybe.")

_SENTENCE_END = re.compile(r"[.!?]+[\"'”’)\]]{0,3}(?=\s)")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"“])(?:[A-Za-z]|mr|mrs|ms|dr|prof|st|jr|sr|vs|no|fig|inc|ltd|co|gen|sen|rep|gov|e\.g|i\.e|u\.s|"
    r"a\.m|p\.m|\d{1,3})\.$",
    re.IGNORECASE,
)
_CAPITAL_WORD = re.compile(r"[^\W_](?:[\w'’-]*[^\W_])?")
_FENCE = re.compile(r"```(?:json)?", re.IGNORECASE)


def is_followed(kind: str, wanted: dict[str, Any], answer: str) -> bool:
    """Whether an answer follows an instruction, whose arguments are ``wanted``.

    Raises :class:`KeyError` for a kind there is not, :class:`ValueError` for arguments that are missing or
    wrong.
    """
    test = KINDS[kind]
    try:
        return bool(answer.strip()) and test(answer, **wanted)
    except TypeError as exc:
        raise ValueError(f"{kind} cannot be asked with {wanted!r:.200}: {exc}") from exc


def sentences(text: str) -> int:
    """How many sentences a text has."""
    count, start = 0, 0
    for end in _SENTENCE_END.finditer(text):
        after = text[end.end() : end.end() + 20].lstrip()
        # "3 p.m. and", "Mr. Smith", "1. First"
        if after[:1].islower() or _ABBREVIATION.search(text, max(start, end.end() - 10), end.end()):
            continue
        count, start = count + 1, end.end()
    return count + bool(text[start:].strip())


def _compares(count: int, relation: str, threshold: int) -> bool:
    if relation == "less than":
        return count < threshold
    if relation == "at least":
        return count >= threshold
    raise ValueError(f"{relation!r} is not a relation. There are: less than, at least.")


def _words(words: str | Iterable[str]) -> list[str]:
    return [words] if isinstance(words, str) else list(words)


def _existence(answer: str, keywords: list[str]) -> bool:
    folded = answer.lower()
    return all(word.strip().lower() in folded for word in _words(keywords))


def _frequency(answer: str, keyword: str, frequency: int, relation: str) -> bool:
    return _compares(answer.lower().count(keyword.strip().lower()), relation, frequency)


def _forbidden(answer: str, forbidden_words: list[str]) -> bool:
    words = "|".join(re.escape(word) for word in _words(forbidden_words))
    return not words or re.search(rf"\b(?:{words})\b", answer, re.IGNORECASE) is None


def _letters(answer: str, letter: str, let_frequency: int, let_relation: str) -> bool:
    return _compares(answer.lower().count(letter.lower()), let_relation, let_frequency)


def _language(answer: str, language: str) -> bool:
    return language_of(answer) in (language, None)


def _sentence_count(answer: str, num_sentences: int, relation: str) -> bool:
    return _compares(sentences(answer), relation, num_sentences)


def _word_count(answer: str, num_words: int, relation: str) -> bool:
    return _compares(len(re.findall(r"\w+", answer)), relation, num_words)


def _paragraphs(answer: str, num_paragraphs: int) -> bool:
    parts = [part.strip() for part in answer.split("***")]
    return all(parts[1:-1]) and sum(map(bool, parts)) == num_paragraphs


def _first_word(answer: str, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    parts = answer.split("\n\n")
    count = sum(1 for part in parts if part.strip())
    if count != num_paragraphs or not 1 <= nth_paragraph <= count:
        return False
    words = parts[nth_paragraph - 1].split()
    first = words[0].lstrip("'").lstrip('"') if words else ""
    return re.split(r"[.,?!'\"]", first.lower())[0] == first_word.lower()


def _placeholders(answer: str, num_placeholders: int) -> bool:
    return len(re.findall(r"\[[^\[\]\n]*\]", answer)) >= num_placeholders


def _postscript(answer: str, postscript_marker: str) -> bool:
    marker = postscript_marker.strip().lower()
    known = {"p.p.s": r"p\.\s?p\.\s?s", "p.s.": r"p\.\s?s\."}
    return re.search(known.get(marker, re.escape(marker)), answer.lower()) is not None


def _bullets(answer: str, num_bullets: int) -> bool:
    lines = [line.lstrip() for line in answer.splitlines()]
    bullets = [line for line in lines if line.startswith("-") or re.match(r"\*[^*]", line)]
    return len(bullets) == num_bullets


def _constrained(answer: str) -> bool:
    return any(each in answer for each in CONSTRAINED)


def _highlights(answer: str, num_highlights: int) -> bool:
    found = re.findall(r"\*[^\n*]*\*", answer) + re.findall(r"\*\*[^\n*]*\*\*", answer)
    return sum(1 for each in found if each.strip("*").strip()) >= num_highlights


def _sections(answer: str, section_spliter: str, num_sections: int) -> bool:
    return len(re.findall(rf"{re.escape(section_spliter.strip())}\s?\d+", answer)) >= num_sections


def _json(answer: str) -> bool:
    text = answer.strip().removesuffix("```")
    fence = _FENCE.match(text)
    try:
        json.loads(text[fence.end() :] if fence else text)
    except (ValueError, RecursionError):
        return False
    return True


def _title(answer: str) -> bool:
    for line in answer.split("\n"):
        start, end = line.find("<<"), line.rfind(">>")
        if 0 <= start < end and line[start:end].strip("<> \t"):
            return True
    return False


def _two_responses(answer: str) -> bool:
    parts = [part.strip() for part in answer.split("******")]
    given = [part for part in parts if part]
    return all(parts[1:-1]) and len(given) == 2 and given[0] != given[1]


def _repeats_prompt(answer: str, prompt_to_repeat: str) -> bool:
    return answer.strip().lower().startswith(prompt_to_repeat.strip().lower())


def _ends_with(answer: str, end_phrase: str) -> bool:
    return answer.strip().strip('"').lower().endswith(end_phrase.strip().lower())


def _quoted(answer: str) -> bool:
    text = answer.strip()
    return len(text) > 1 and text[0] == text[-1] == '"'


def _capital_words(answer: str, capital_frequency: int, capital_relation: str) -> bool:
    count = sum(1 for word in _CAPITAL_WORD.findall(answer) if word.isupper())
    return _compares(count, capital_relation, capital_frequency)


def _upper(answer: str) -> bool:
    return answer.isupper() and language_of(answer) in ("en", None)


def _lower(answer: str) -> bool:
    return answer.islower() and language_of(answer) in ("en", None)


def _no_comma(answer: str) -> bool:
    return "," not in answer


KINDS: dict[str, Callable[..., bool]] = {
    "change_case:capital_word_frequency": _capital_words,
    "change_case:english_capital": _upper,
    "change_case:english_lowercase": _lower,
    "combination:repeat_prompt": _repeats_prompt,
    "combination:two_responses": _two_responses,
    "detectable_content:number_placeholders": _placeholders,
    "detectable_content:postscript": _postscript,
    "detectable_format:constrained_response": _constrained,
    "detectable_format:json_format": _json,
    "detectable_format:multiple_sections": _sections,
    "detectable_format:number_bullet_lists": _bullets,
    "detectable_format:number_highlighted_sections": _highlights,
    "detectable_format:title": _title,
    "keywords:existence": _existence,
    "keywords:forbidden_words": _forbidden,
    "keywords:frequency": _frequency,
    "keywords:letter_frequency": _letters,
    "language:response_language": _language,
    "length_constraints:nth_paragraph_first_word": _first_word,
    "length_constraints:number_paragraphs": _paragraphs,
    "length_constraints:number_sentences": _sentence_count,
    "length_constraints:number_words": _word_count,
    "punctuation:no_comma": _no_comma,
    "startend:end_checker": _ends_with,
    "startend:quotation": _quoted,
}
"""Kind of instruction to its test, by the names of the set."""
