"""The store behind PgBouncer, which lends connections for as long as a transaction."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backends.postgres_server import OWNER, PostgresServer, free_port
from themis.backends.storage.postgres import PostgresStorageBackend
from themis.testing import StorageBackendSuite
from themis.testing.storage.examples import evaluation, generation

RUN = "run-1"
WITHIN_S = 20.0


@pytest.fixture(scope="session")
def bouncer(postgres: PostgresServer) -> Iterator[str]:
    """Its URI; it has two connections to the server for all that come."""
    program = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
    if program is None:
        pytest.skip("no PgBouncer to be had: neither on the path nor /usr/sbin/pgbouncer")
    port = free_port()
    folder = postgres.folder
    (folder / "users").write_text(f'"{OWNER}" "{postgres.password}"\n')
    (folder / "bouncer.ini").write_text(
        f"[databases]\n* = host=127.0.0.1 port={postgres.port}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = scram-sha-256\nauth_file = {folder}/users\n"
        "pool_mode = transaction\ndefault_pool_size = 2\nmax_client_conn = 200\n"
    )
    with open(folder / "bouncer.log", "wb") as log:
        process = subprocess.Popen(
            [program, str(folder / "bouncer.ini")], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env={"PATH": os.defpath}, **postgres.as_user,
        )  # fmt: skip
    try:
        _wait_for_door(process, port, folder / "bouncer.log")
        yield postgres.uri(port=port)
    finally:
        process.terminate()
        process.wait(WITHIN_S)


def _wait_for_door(process: subprocess.Popen, port: int, log: Path) -> None:
    waiting = threading.Event()
    for _ in range(int(WITHIN_S / 0.02)):
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert process.poll() is None, log.read_text()
            waiting.wait(0.02)
    pytest.fail(f"PgBouncer did not begin: {log.read_text()}")


class TestBehindPgBouncer(StorageBackendSuite):
    @pytest.fixture(autouse=True)
    def _server(self, bouncer: str):
        self.uri = bouncer

    def make(self) -> PostgresStorageBackend:
        return PostgresStorageBackend(self.uri, schema=self.name, pgbouncer=True)


def test_many_threads_share_what_connections_there_are(bouncer: str):
    with PostgresStorageBackend(bouncer, schema="bounced", pgbouncer=True) as store:
        store.save_run_metadata(RUN, {"run_id": RUN})

        def save(writer: int) -> None:
            for n in range(30):
                store.save_generation_record(RUN, generation(f"{writer}-{n}"))
                store.save_evaluation_record(RUN, evaluation(f"{writer}-{n}"))
                if n % 10 == 0:
                    store.flush()
                    assert store.run_exists(RUN)

        threads = [threading.Thread(target=save, args=(writer,)) for writer in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expected = sorted(f"{writer}-{n}" for writer in range(8) for n in range(30))
        assert sorted(each.id for each in store.load_generation_records(RUN)) == expected
        assert sorted(store.load_evaluation_records(RUN)) == expected
        assert [step for step in store.check() if not step.ok] == []
