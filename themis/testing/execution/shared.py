"""An object of the test, for work in other processes of this machine: calls of it come back to the test."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from multiprocessing.connection import Client, Connection, Listener
from typing import Any


class Desk:
    """Answers calls of the objects that were handed out, each in a thread of its own, until it is closed."""

    def __init__(self) -> None:
        self._key = os.urandom(16)
        self._listener = Listener(("127.0.0.1", 0), backlog=64, authkey=self._key)
        self._handed_out: list[Any] = []
        self._closed = False
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def hand_out(self, target: Any) -> Shared:
        """Something that pickles, and whose methods are those of ``target``, called here."""
        self._handed_out.append(target)
        return Shared(self._listener.address, self._key, len(self._handed_out) - 1)

    def close(self) -> None:
        """Answer no more."""
        self._closed = True
        with suppress(OSError, EOFError):
            Client(self._listener.address, authkey=self._key).close()
        self._thread.join()
        self._listener.close()

    def _listen(self) -> None:
        while not self._closed:
            try:
                connection = self._listener.accept()
            except Exception:  # whoever called has ended meanwhile
                continue
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: Connection) -> None:
        with connection, suppress(OSError, EOFError):
            number, name, arguments = connection.recv()
            try:
                result = getattr(self._handed_out[number], name)(*arguments)
            except BaseException as exc:  # raised again by whom it was called
                connection.send((None, exc))
            else:
                connection.send((result, None))


class Shared:
    """Stands for an object in the test's process."""

    def __init__(self, address: Any, key: bytes, number: int) -> None:
        self._place = (address, key, number)

    def __call__(self, *arguments: Any) -> Any:
        """What the object gives when it is called."""
        return self._called("__call__", *arguments)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in ("acall", "batch", "secrets"):
            raise AttributeError(name)
        return lambda *arguments: self._called(name, *arguments)

    def _called(self, name: str, *arguments: Any) -> Any:
        address, key, number = self._place
        with Client(address, authkey=key) as connection:
            connection.send((number, name, arguments))
            result, error = connection.recv()
        if error is not None:
            raise error
        return result
