"""Where a server keeps the adapters that come over HTTP: memory-backed, whole or not at all.

A file under way has a temporary name; when its last byte is there and its checksum right, it is
renamed. Adapters never change: keys and values cached for one must not be taken for another's.
"""

import atexit
import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from common.errors import FULL

FILES = ("adapter_config.json", "adapter_model.safetensors")
NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
MIB = 1 << 20
LIMIT = 64  # MiB of one adapter, by default
HELD = 16  # adapters at once; the oldest makes room for another
PREFIX = "mathgrpo-adapters-"
YOUNG = 60.0  # seconds in which a folder without a lock may be a server's that is just starting


class Refused(Exception):
    """A request that is not granted: an HTTP status, and one line that says why."""

    def __init__(self, status: int, why: str):
        super().__init__(why)
        self.status = status


class Incoming:
    """A file under way: takes chunks of bytes, at most `room` in all; raises Refused beyond."""

    def __init__(self, path: Path, room: int, limit: int):
        self.path, self._room, self._limit = path, room, limit
        self._file = open(path, "wb")  # noqa: SIM115 - closed by `incoming`
        self._sum, self.size = hashlib.sha256(), 0

    def expect(self, length: str) -> None:
        """Refuse at once what announces itself as too long; `length` is the header, if any."""
        if length.isdecimal() and int(length) > self._room:
            raise too_large(self._limit)

    def write(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self.size > self._room:
            raise too_large(self._limit)
        self._sum.update(chunk)
        self._file.write(chunk)

    def close(self) -> str:
        """The SHA-256 of what came, in hexadecimal digits."""
        self._file.close()
        return self._sum.hexdigest()


class AdapterStore:
    """The adapters of one server process; they go when it ends."""

    def __init__(self, limit: int = LIMIT * MIB, *, parent: Path | None = None):
        """`limit`: bytes of one adapter, both files together."""
        self.limit = limit
        parent = parent or memory_backed(4 * limit)
        remove_abandoned(parent)
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        self._lock = open(self.folder / ".lock", "w")  # noqa: SIM115 - held while the process lives
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._incoming = 0
        atexit.register(self.close)

    def names(self) -> list[str]:
        """The adapters that are here, in whole or in part, the oldest first."""
        folders = [entry for entry in os.scandir(self.folder) if entry.is_dir()]
        return [f.name for f in sorted(folders, key=lambda f: (f.stat().st_ctime_ns, f.name))]

    def path(self, name: str) -> Path:
        """Where the files of an adapter lie."""
        if not NAME.fullmatch(name):
            raise Refused(400, "an adapter's name has 1 to 128 of A-Z a-z 0-9 _ -")
        return self.folder / name

    def is_complete(self, name: str) -> bool:
        """Whether both files of an adapter are here."""
        return all((self.path(name) / file).is_file() for file in FILES)

    def surplus(self, name: str) -> str | None:
        """The adapter that has to go before `name` may come, if any."""
        held = self.names()
        return held[0] if name not in held and len(held) >= HELD else None

    @contextlib.contextmanager
    def incoming(self, name: str, file: str) -> Iterator[Incoming]:
        """Take a file's bytes; whatever happens within, nothing is left of what is not kept."""
        if self._incoming >= HELD:
            raise Refused(503, f"{HELD} files are on their way to this server; try again")
        path = self.folder / f".incoming-{os.urandom(8).hex()}"
        self._incoming += 1
        try:
            one = Incoming(path, self._room(name, file), self.limit)
            try:
                yield one
            finally:
                one.close()
        except OSError as error:
            if error.errno not in FULL:
                raise
            why = f"no room in {self.folder.parent} for this adapter ({os.strerror(errno.ENOSPC)})"
            raise Refused(507, why) from error
        finally:
            self._incoming -= 1
            path.unlink(missing_ok=True)

    def keep(self, one: Incoming, name: str, file: str, checksum: str) -> None:
        """Give a file that came whole its name; Refused where it is not what was announced."""
        found = one.close()
        if found != checksum:
            raise Refused(400, f"{file} has the SHA-256 {found}, not the {checksum} announced")
        if one.size > self._room(name, file):  # the other file came meanwhile
            raise too_large(self.limit)
        folder = self.path(name)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        if (there := folder / file).exists():
            if hashlib.sha256(there.read_bytes()).hexdigest() == found:
                return  # sent again after a lost reply
            raise Refused(409, f"{name} has another {file} already; give each adapter a new name")
        os.replace(one.path, there)

    def remove(self, name: str) -> None:
        """Forget an adapter."""
        shutil.rmtree(self.path(name), ignore_errors=True)

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()

    def _room(self, name: str, file: str) -> int:
        """The bytes that a file may have beside the other one of its adapter."""
        others = [self.path(name) / other for other in FILES if other != file]
        return self.limit - sum(path.stat().st_size for path in others if path.is_file())


def too_large(limit: int) -> Refused:
    """What is said to an adapter over the limit."""
    return Refused(
        413,
        f"the adapter has more than the {limit / MIB:g} MiB this server takes; start it with "
        "`mathgrpo serve --adapter-limit MIB` for larger ones",
    )


def memory_backed(room: int) -> Path:
    """/dev/shm where it has `room` bytes (a container's often has 64 MiB), else the temporary
    folder."""
    shared = Path("/dev/shm")
    with contextlib.suppress(OSError):
        if os.access(shared, os.W_OK) and shutil.disk_usage(shared).free >= room:
            return shared
    return Path(tempfile.gettempdir())


def remove_abandoned(parent: Path) -> None:
    """Remove what servers of this user left that were killed: nobody holds its lock."""
    for folder in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            about = folder.lstat()
            if about.st_uid != os.getuid() or time.time() - about.st_mtime < YOUNG:
                continue
            with open(folder / ".lock", "a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
