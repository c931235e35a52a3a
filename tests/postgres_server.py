"""A PostgreSQL server for tests, where its programs are installed: a new cluster in a folder, on a socket in it."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path


def programs() -> Path | None:
    """The folder with ``initdb`` and ``postgres``; None if there is none."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return folders[-1].parent if folders else None


class PostgresServer:
    """A running server; ``url`` reaches its database. Its programs refuse to be root: then they are ``postgres``."""

    def __init__(self) -> None:
        folder = programs()
        assert folder is not None
        self._user = "postgres" if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="kolossos-pg-"))
        if self._user:
            entry = pwd.getpwnam(self._user)
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
        data = self.folder / "data"
        self._call([folder / "initdb", "-D", data, "-U", "kolossos", "-A", "trust", "-E", "UTF8", "--no-sync"])
        options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={self.folder}"]
        with open(self.folder / "log", "wb") as log:
            command = [folder / "postgres", "-D", data, *options]
            self._process = subprocess.Popen(command, user=self._user, cwd=self.folder, stdout=log, stderr=log)
        self.url = f"postgresql://kolossos@/postgres?host={self.folder}"
        ready = [folder / "pg_isready", "-h", self.folder, "-t", "60", "-q"]
        while subprocess.run(ready).returncode:
            assert self._process.poll() is None, (self.folder / "log").read_text()

    def _call(self, command: list) -> None:
        subprocess.run(command, check=True, user=self._user, cwd=self.folder, stdout=subprocess.DEVNULL)

    def stop(self) -> None:
        """Stop it and remove its folder."""
        self._process.send_signal(signal.SIGINT)  # does not wait for those who are connected
        self._process.wait(60)
        shutil.rmtree(self.folder, ignore_errors=True)


def can_run() -> bool:
    """Whether a server can be started here."""
    if programs() is None:
        return False
    if os.geteuid():
        return True
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        return False
    return True
