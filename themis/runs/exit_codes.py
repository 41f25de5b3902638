"""How a process ends: the same for a run here, for one launched elsewhere, and for every command.

0  done or passed; also where nothing was to be done
1  a run or gate failed, or what was asked was not done: the answer was no, a run is live, something is to
   mend
2  usage: what was asked cannot be meant, or is against the user's own profiles (readonly, protected)
3  cannot tell
4  a run is paused
5  store or network
130  interrupted, or a run was cancelled
"""

from __future__ import annotations

from themis.core import errors
from themis.core.errors import (
    MissingExtra,
    RunConflict,
    RunExists,
    RunNotFound,
    SecretUnavailable,
    StorageError,
    StoreReadonly,
    UsageError,
)

DONE, FAILED, USAGE, CANNOT_TELL, PAUSED, STORE, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130

_OF_USAGE = (
    UsageError,
    MissingExtra,
    SecretUnavailable,
    StoreReadonly,
    RunNotFound,
    RunConflict,
    RunExists,
)
_OF_STATUS = {"completed": DONE, "paused": PAUSED, "cancelled": INTERRUPTED}


def code_of_status(word: str) -> int:
    """The exit code of whoever waited for a run that ended so."""
    return _OF_STATUS.get(word, FAILED)


def code_of(error: BaseException) -> int:
    """The exit code that an error means."""
    if isinstance(error, _OF_USAGE):
        return USAGE
    if isinstance(error, (StorageError, OSError)):
        return STORE
    return FAILED


def kind_of(error: BaseException) -> str:
    """The name by which an error travels from one process to another; its exit code travels with it."""
    ours = (cls.__name__ for cls in type(error).__mro__ if cls.__module__ == errors.__name__)
    return next(ours, "StorageError" if isinstance(error, OSError) else "LaunchFailed")


def error_of(kind: str, message: str) -> errors.ThemisError:
    """The error that arrived under a name; :class:`LaunchFailed` for a name that is none of ours."""
    cls = getattr(errors, kind, None)
    if isinstance(cls, type) and issubclass(cls, errors.ThemisError):
        return cls(message)
    return errors.LaunchFailed(message)
