"""The few things that are asked of a bucket, with errors that tell what to do."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from themis.backends.storage.s3_client import S3Client
from themis.backends.storage.s3_errors import (
    CROSSED,
    CUT_SHORT,
    NO_BUCKET,
    NO_BULK_DELETE,
    NOT_THERE,
    UNEXPLAINED,
    UNKNOWN_CONDITION,
    UNMET,
    code_of,
    is_of_keys,
    translated,
)
from themis.core.errors import StorageError

BATCH = 1_000
"""Keys that one request may delete; the most that S3 takes."""
PAGE = 1_000
"""Objects that one request lists; the most that S3 gives."""
TRIES = 6
FIRST_WAIT_S = 0.1
"""Before what the driver does not repeat by itself is tried again; doubled each time."""
_RUN, _WRITE = "themis-run", "themis-write"
"""What is noted with an object: which run of its id it belongs to, and which write it was."""


class Listed(NamedTuple):
    """An object in a listing."""

    key: str
    etag: str
    size: int


class Seen(NamedTuple):
    """What an object is known by."""

    etag: str
    run: str
    """Which run of its id it belongs to; empty if that was not noted."""
    write: str


class Read(NamedTuple):
    """An object and its bytes."""

    body: bytes
    etag: str
    run: str


class Unmet(Exception):
    """The condition of a write does not hold: somebody else was faster."""


class Bucket:
    """Objects of one bucket. Every error is one of :mod:`themis.core.errors`, and names ``place``."""

    def __init__(self, name: str, connection: S3Client, place: str, probe: str) -> None:
        """``probe``: the key by which it is found out whether the server keeps conditions."""
        self.name = name
        self.place = place
        self._connection = connection
        self._probe = probe
        self._keeps_conditions: bool | None = None
        self._is_there = False

    def get(self, key: str, doing: str, *, unless: str | None = None) -> Read | None:
        """An object whole; ``None`` if it is not there, or is still the one whose ETag is ``unless``."""
        condition = {} if unless is None else {"IfNoneMatch": _quoted(unless)}
        for attempt in range(TRIES):
            response = self._call("get_object", doing, NOT_THERE | {"304"}, Key=key, **condition)
            if response is None:
                return None
            try:
                body = response["Body"].read()
            except CUT_SHORT as exc:
                self._wait(attempt, exc, doing)
                continue
            return Read(body, _bare(response["ETag"]), response.get("Metadata", {}).get(_RUN, ""))
        raise AssertionError("the last try raises")

    def head(self, key: str, doing: str, *, sure: bool = True) -> Seen | None:
        """What an object is known by; ``None`` if it is not there.

        A bucket that is gone answers just so: it is looked for then. Not ``sure``: only if it was never seen,
        for those who hear of it by what they ask beside this.
        """
        try:
            response = self._asked("head_object", Key=key)
        except ClientError as exc:
            code = code_of(exc)
            if code in NOT_THERE:
                if sure or not self._is_there:
                    self.check_there(doing)
                return None
            if code in UNEXPLAINED:
                self._call("get_object", doing, NOT_THERE, Key=key)  # raises the same with its reason
            raise self._translated(exc, doing) from exc
        except BotoCoreError as exc:
            raise self._translated(exc, doing) from exc
        noted = response.get("Metadata", {})
        return Seen(_bare(response["ETag"]), noted.get(_RUN, ""), noted.get(_WRITE, ""))

    def put(
        self,
        key: str,
        body: bytes,
        doing: str,
        *,
        run: str = "",
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> str:
        """Store an object whole; returns its ETag. Raises :class:`Unmet` if a condition does not hold.

        ``if_absent``: only if there is none; ``if_match``: only in place of the one with that ETag.
        """
        write = os.urandom(8).hex()
        noted = {_RUN: run, _WRITE: write} if run else {_WRITE: write}
        condition: dict[str, str] = {}
        if if_absent:
            condition = {"IfNoneMatch": "*"}
        elif if_match is not None:
            condition = {"IfMatch": _quoted(if_match)}
        if condition and not self.keeps_conditions():
            self._check_condition(key, doing, if_match)
            condition = {}
        for attempt in range(TRIES):
            try:
                response = self._asked("put_object", Key=key, Body=body, Metadata=noted, **condition)
                return _bare(response["ETag"])
            except (ClientError, BotoCoreError) as exc:
                code = code_of(exc)
                if condition and (code in UNMET or (if_match is not None and code in NOT_THERE)):
                    # The first try may have been heard, and only its answer lost.
                    seen = self.head(key, doing)
                    if seen is not None and seen.write == write:
                        return seen.etag
                    raise Unmet from exc
                if code not in CROSSED:
                    raise self._translated(exc, doing) from exc
                self._wait(attempt, exc, doing)
        raise AssertionError("the last try raises")

    def listed(self, prefix: str, doing: str, *, after: str = "") -> Iterator[Listed]:
        """All objects whose keys begin so, however many, in the order of their keys."""
        start: dict[str, Any] = {"StartAfter": after} if after else {}
        while True:
            page = self._call("list_objects_v2", doing, Prefix=prefix, MaxKeys=PAGE, **start)
            assert page is not None
            for each in page.get("Contents", ()):
                yield Listed(each["Key"], _bare(each["ETag"]), each["Size"])
            if not page.get("IsTruncated"):
                return
            start = {"ContinuationToken": page["NextContinuationToken"]}

    def delete(self, keys: Iterable[str], doing: str) -> None:
        """Delete objects; those that are not there already are fine."""
        waiting = list(keys)
        for attempt in range(TRIES):
            errors = [each for some in _batches(waiting) for each in self._delete_some(some, doing)]
            waiting = [error["Key"] for error in errors if error.get("Code") not in NOT_THERE]
            if not waiting:
                return
            first = next(error for error in errors if error["Key"] == waiting[0])
            said = ClientError({"Error": {**first, "Message": _failed(first, len(waiting))}}, "DeleteObjects")
            raised = self._translated(said, doing)
            if not isinstance(raised, ConnectionError):  # no later try will change it
                raise raised
            self._wait(attempt, said, doing)

    def _delete_some(self, keys: list[str], doing: str) -> list[dict[str, Any]]:
        """Delete up to :data:`BATCH` objects; returns the errors that came in an answer of success."""
        if len(keys) > 1:
            wanted = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
            answer = self._call("delete_objects", doing, NO_BULK_DELETE, Delete=wanted)
            if answer is not None:
                return list(answer.get("Errors", ()))
        for key in keys:
            self._call("delete_object", doing, NOT_THERE, Key=key)
        return []

    def check_there(self, doing: str) -> None:
        """Raise if there is no such bucket: "not there" of an object may mean that."""
        try:
            self._asked("head_bucket")
        except ClientError as exc:
            if code_of(exc) in NOT_THERE:
                said = {"Error": {"Code": NO_BUCKET, "Message": "The bucket does not exist"}}
                raise self._translated(ClientError(said, "HeadBucket"), doing) from exc
            if code_of(exc) not in UNEXPLAINED:
                raise self._translated(exc, doing) from exc
        except BotoCoreError as exc:
            raise self._translated(exc, doing) from exc

    def keeps_conditions(self) -> bool:
        """Whether a conditional write is refused when its condition does not hold. Found out once."""
        if self._keeps_conditions is None:
            if self._is_aws() or self.probe_conditions():
                self._keeps_conditions = True
            else:
                self._keeps_conditions = False
                log = logging.getLogger("themis.storage")
                log.warning("%s: %s", self.place, SINGLE_WRITER)
        return self._keeps_conditions

    def probe_conditions(self) -> bool:
        """Find out whether the server keeps conditions, by writes that it has to refuse."""
        self._unrefused({"IfNoneMatch": "*"})  # makes the probe, unless it is there
        refused = not self._unrefused({"IfNoneMatch": "*"}) and not self._unrefused(
            {"IfMatch": _quoted("0" * 32)}
        )
        self._keeps_conditions = refused
        return refused

    def _unrefused(self, condition: dict[str, str]) -> bool:
        doing = "find out whether it keeps conditions"
        try:
            self._asked("put_object", Key=self._probe, Body=b"", **condition)
        except ClientError as exc:
            code = code_of(exc)
            if code in UNKNOWN_CONDITION:
                return True
            if code in UNMET | CROSSED | (NOT_THERE - {NO_BUCKET}):
                return False
            raise self._translated(exc, doing) from exc
        except BotoCoreError as exc:
            raise self._translated(exc, doing) from exc
        return True

    def keeps_versions(self) -> bool:
        """Whether what is deleted goes on lying there, and costing; false also where that cannot be asked."""
        try:
            return bool(self._asked("get_bucket_versioning").get("Status") == "Enabled")
        except (ClientError, BotoCoreError):
            return False

    def _check_condition(self, key: str, doing: str, if_match: str | None) -> None:
        """As well as can be where the server does not: between looking and writing another may write."""
        seen = self.head(key, doing)
        if (None if seen is None else seen.etag) != if_match:
            raise Unmet

    def _is_aws(self) -> bool:
        try:
            return self._connection.is_aws()
        except (BotoCoreError, ClientError) as exc:
            raise self._translated(exc, "connect") from exc

    def _call(self, operation: str, doing: str, none: frozenset[str] = frozenset(), **wanted: Any) -> Any:
        """The answer; ``None`` for an error whose code is one of ``none``."""
        try:
            return self._asked(operation, **wanted)
        except ClientError as exc:
            if code_of(exc) in none:
                return None
            raise self._translated(exc, doing) from exc
        except BotoCoreError as exc:
            raise self._translated(exc, doing) from exc

    def _asked(self, operation: str, **wanted: Any) -> Any:
        answer = getattr(self._connection.get(), operation)(Bucket=self.name, **wanted)
        self._is_there = True
        return answer

    def _translated(self, exc: Exception, doing: str) -> StorageError:
        if is_of_keys(exc):
            self._connection.close()  # by the next try somebody may have renewed them
        return translated(exc, self.place, doing, self._connection.keys)

    def _wait(self, attempt: int, exc: Exception, doing: str) -> None:
        if attempt == TRIES - 1:
            raise self._translated(exc, doing) from exc
        time.sleep(FIRST_WAIT_S * 2**attempt)


SINGLE_WRITER = (
    "the server does not keep conditional writes (If-None-Match, If-Match), so only one process at a time "
    "may write to a run, or to what is noted about it"
)


def _failed(error: dict[str, Any], count: int) -> str:
    return f"{error.get('Message', 'no reason given')} ({count} objects, the first {error.get('Key')})"


def _batches(keys: list[str]) -> Iterator[list[str]]:
    return (keys[at : at + BATCH] for at in range(0, len(keys), BATCH))


def _quoted(etag: str) -> str:
    return f'"{etag}"'


def _bare(etag: str) -> str:
    return etag.strip('"')
