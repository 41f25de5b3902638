"""Which language a text is in."""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

MOST_READ = 10_000
"""Characters that are looked at."""
_loading = threading.Lock()


def language_of(text: str) -> str | None:
    """The code of the language, such as ``en`` or ``zh-cn``; ``None`` if the text has too few words to tell.

    By the package langdetect, from a fixed seed: the same text is always in the same language.
    """
    from langdetect.lang_detect_exception import LangDetectException

    with _loading:
        detector = _factory().create()
    try:
        detector.append(text[:MOST_READ])
        found: str = detector.detect()
    except LangDetectException:
        return None
    return None if found == detector.UNKNOWN_LANG else found


@cache
def _factory() -> Any:
    from langdetect.detector_factory import PROFILES_DIRECTORY, DetectorFactory

    factory = DetectorFactory()
    factory.load_profile(PROFILES_DIRECTORY)
    factory.seed = 0
    return factory
