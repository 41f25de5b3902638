"""Every error that Themis raises on purpose.

::

    ThemisError
    ├── UsageError                  what was asked cannot be meant         (also ValueError)
    │   ├── UnknownName             no backend, model, benchmark or metric of that name
    │   ├── InvalidRunId            a run id outside the rule
    │   └── BenchmarkError          a question, template or reference that cannot be used
    ├── MissingExtra                an optional package is not installed   (also ImportError)
    ├── SecretUnavailable           a reference to a secret leads to none
    ├── StorageError                a store could not do what was asked
    │   ├── RunNotFound             no such run, or nothing of that kind   (also FileNotFoundError)
    │   ├── StoreReadonly           the user's profile keeps it from being changed
    │   ├── AccessDenied            the store is there and says no         (also PermissionError)
    │   ├── StoreUnreachable        the store is not there                 (also ConnectionError)
    │   ├── StoreFull               no room left                           (also OSError)
    │   ├── SchemaTooNew            written by a newer Themis
    │   ├── Conflict                somebody else was faster
    │   ├── StoreCorrupt            what is stored cannot be read
    │   └── RecordRefused           a value that cannot be stored exactly  (also ValueError)
    ├── RunError                    a run cannot be started or carried on
    │   ├── RunConflict             it exists, and asked something else
    │   ├── RunExists               it exists, and resume=False            (also FileExistsError)
    │   ├── RunHeld                 another process is running it
    │   └── LaunchFailed            the runner did not come up
    ├── ModelError                  a model gave no answer
    └── ExecutionError              an executor could not do its work
        ├── TaskTimeout             an item passed its deadline            (also TimeoutError)
        ├── WorkerLost              the worker died, the item is not to blame
        └── WorkersExhausted        every worker hangs in abandoned work

A message names what was asked, what there is, and how to mend it. All of them survive pickling.
"""

from __future__ import annotations

from typing import Any

from themis.core.masking import masked


class ThemisError(Exception):
    """Root of the tree."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are rebuilt from ``args``; classes below take more than that.
        return _rebuild, (type(self), self.args, self.__dict__.copy())


def _rebuild(cls: type[ThemisError], args: tuple[Any, ...], state: dict[str, Any]) -> ThemisError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class UsageError(ThemisError, ValueError):
    """What was asked cannot be meant; nothing was done."""


class UnknownName(UsageError):
    """No backend, model, benchmark or metric of that name; lists the ones there are."""


class InvalidRunId(UsageError):
    """A run id outside the rule of :mod:`themis.core.run_ids`."""


class BenchmarkError(UsageError):
    """A question, template or reference that cannot be used; names the sample."""


class MissingExtra(ThemisError, ImportError):
    """An optional package is not installed; the message is the command that installs it."""


class SecretUnavailable(ThemisError):
    """A reference to a secret leads to none that can be used; never holds the secret."""


class StorageError(ThemisError):
    """A store could not do what was asked of it."""


class RunNotFound(StorageError, FileNotFoundError):
    """The store has no such run, or the run has nothing of that kind."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class StoreReadonly(StorageError):
    """The user's profile says that nothing in this store is to be changed from here."""


class AccessDenied(StorageError, PermissionError):
    """The store is there and says no. Never means that something does not exist."""

    __str__ = RunNotFound.__str__


class StoreUnreachable(StorageError, ConnectionError):
    """The store cannot be reached, or did not answer in time."""

    __str__ = RunNotFound.__str__


class StoreFull(StorageError, OSError):
    """The store has no room left; what was saved before is whole."""

    __str__ = RunNotFound.__str__


class SchemaTooNew(StorageError):
    """Written by a newer version of Themis than this one."""


class Conflict(StorageError):
    """Somebody else wrote the same document first."""


class StoreCorrupt(StorageError):
    """What is stored cannot be read; names the place."""


class RecordRefused(StorageError, ValueError):
    """A value that the store cannot give back exactly; names the path to it."""


class RunError(ThemisError):
    """A run cannot be started or carried on."""


class RunConflict(RunError):
    """The run exists and asked something else; lists what differs."""


class RunExists(RunError, FileExistsError):
    """The run exists and ``resume=False`` was asked."""

    __str__ = RunNotFound.__str__


class RunHeld(RunError):
    """Another process is running this run."""


class LaunchFailed(RunError):
    """The runner did not come up; the message is its reason."""


class ModelError(ThemisError):
    """A model gave no answer. ``kind`` is one of the error kinds of a generation record."""

    def __init__(
        self,
        message: str,
        *,
        kind: str = "model",
        status: int | None = None,
        retry_after: float | None = None,
        calls: int = 1,
        usage: dict[str, Any] | None = None,
        fatal: str | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.status = status
        self.retry_after = retry_after
        """Seconds that the server asked to wait."""
        self.calls = calls
        """Requests made for this one answer; 0 if it was not asked for at all."""
        self.usage = usage
        """Tokens that the failure cost, where the server told."""
        self.fatal = fatal
        """Why no other request will be answered either, where that is known; the run pauses with it."""
        self.wait_s = 0.0
        """Seconds spent waiting for limits and backing off."""
        self.retry_s = 0.0
        """Seconds spent in calls before the last one."""


class ExecutionError(ThemisError):
    """An executor could not do its work."""


class TaskTimeout(ExecutionError, TimeoutError):
    """An item passed its deadline."""

    __str__ = RunNotFound.__str__


class WorkerLost(ExecutionError):
    """A worker died; the item it had is not to blame."""


class WorkersExhausted(ExecutionError):
    """Every worker hangs in work that was abandoned at its deadline."""


def described(exc: BaseException) -> str:
    """An exception in words: our own speak for themselves, others are named. Never raises.

    Secrets that this process has read are masked: a driver may quote the address it was given.
    """
    try:
        text = str(exc)
    except Exception as second:  # a stranger's exception may fail to say what it is
        text = f"(it cannot be shown: {type(second).__name__})"
    return masked(text if isinstance(exc, ThemisError) else f"{type(exc).__name__}: {text}")
