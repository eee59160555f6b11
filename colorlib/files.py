"""Writing a file so that nobody ever sees half of it: temporary file, fsync, rename, fsync of the folder. Everything the
package keeps is written here.

A writer that is killed leaves its temporary file, `.<name>.<machine>-<process>-<number>.tmp`; the next process that writes
into the folder deletes it.
"""
import contextlib
import errno
import io
import os
import re
import shutil
import socket
import stat
import time
import uuid
import zlib
from pathlib import Path

from filelock import FileLock, Timeout

__all__ = ["write_atomic", "scratch_file", "scratch_folder", "make_folder", "printable"]

TEMPORARY = re.compile(r"\..*\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.tmp")
STALE_SECONDS = 86400              # a temporary file of another machine is left alone for a day
NAME_LENGTH = 40                   # characters of the file's name in that of its temporary: a long name must not become too long
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG} if hasattr(errno, "EDQUOT") else {errno.ENOSPC, errno.EFBIG}
DISK = FULL | {errno.EIO, errno.EROFS, errno.ESTALE} if hasattr(errno, "ESTALE") else FULL | {errno.EIO, errno.EROFS}
_swept = set()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_swept.clear)


def write_atomic(path, content):
    """Write bytes so that a reader sees the old file or the new one, never half of it, also after a crash or a power cut.
    Keeps the file's permissions and follows a link. Raises OSError with what to do; the old file is then as it was.

    >>> write_atomic("notes.txt", b"whole or not at all")
    >>> Path("notes.txt").read_text(), os.listdir(".")
    ('whole or not at all', ['notes.txt'])
    """
    with scratch_file(path) as file:
        file.write(content)


@contextlib.contextmanager
def scratch_file(path):
    """Open a file for writing bytes that takes the place of `path` when the block ends well, and is deleted when it does not.
    Raises OSError with what to do, see `explain`.

    >>> with contextlib.suppress(KeyError), scratch_file("table.csv") as file:
    ...     length = file.write(b"method,psnr") + {}["no such method"]
    >>> os.listdir(".")
    []
    """
    with scratch_name(path) as scratch:
        raw = _Watched(scratch, "w")
        try:
            with io.BufferedWriter(raw) as file:
                yield file
        except Exception as error:
            if raw.error is None:
                raise
            raise explain(raw.error, path) from error          # a library may have made anything of a full disk


@contextlib.contextmanager
def scratch_name(path):
    """As `scratch_file`, for a library that wants a name: the Path of a file that is not there yet, to be written and closed within the block."""
    path, target = Path(path), _target(path)
    scratch = temporary(target)
    try:
        try:
            yield scratch
            sync(scratch)
            if target.exists():
                shutil.copymode(target, scratch)
            os.replace(scratch, target)
            sync(target.parent)
        except OSError as error:
            if len(error.args) < 2 or error.errno not in DISK and str(error.filename) not in (str(scratch), str(target), str(target.parent)):
                raise                                          # a sentence already, or about another file
            raise explain(error, path) from error
    finally:
        discard(scratch)


@contextlib.contextmanager
def scratch_folder(path):
    """The Path of a new folder beside `path`, deleted when the block ends: whoever has filled it renames it, or moves what is
    in it. Raises OSError with what to do, see `explain`.

    >>> with scratch_folder("pack") as fresh:
    ...     length = (fresh / "rgb.bin").write_bytes(b"0")
    ...     publish(fresh, "pack")
    >>> os.listdir("."), os.listdir("pack")
    (['pack'], ['rgb.bin'])
    """
    path = Path(path)
    scratch = temporary(Path(os.path.realpath(path)))
    try:
        try:
            scratch.mkdir()
        except OSError as error:
            raise explain(error, path) from error
        yield scratch
    finally:
        discard(scratch)


def make_folder(path):
    """Make a folder and those above it, unless they are there. Raises OSError with what to do (see `explain`);
    NotADirectoryError where a file has its name.

    >>> make_folder("runs/mine/1")
    >>> os.path.isdir("runs/mine/1")
    True
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(f"{path} is a file where a folder is needed: delete it, or name another place.") from error
    except OSError as error:
        raise explain(error, path) from error


@contextlib.contextmanager
def locked(path, seconds=60.0, keep=True):
    """Of several processes that change `path` one is in this block at a time; the others wait, for `seconds` at most. The lock, in `.<name>.lock` beside it,
    ends with the process that holds it, however that ends. keep: whether its file stays. Raises TimeoutError, and OSError where the folder cannot be
    written."""
    path = Path(path)
    name = path.with_name(f".{path.name}.lock")
    lock = FileLock(name, timeout=seconds)
    try:
        lock.acquire()
        while not keep and not _is_open(lock, name):           # whoever held it has deleted it: others would lock a new one
            lock.release()
            lock.acquire()
    except Timeout as error:
        raise TimeoutError(f"{path} stayed locked for {seconds:.0f} s; end the process that holds it.") from error
    except OSError as error:
        raise explain(error, path) from error
    try:
        yield
    finally:
        if not keep and os.name == "posix":
            discard(name)
        lock.release()
        if not keep and os.name != "posix":
            discard(name)


def _is_open(lock, name):
    """Whether a lock's file is still the one of that name."""
    number = getattr(lock._context, "lock_file_fd", None)
    try:
        return number is None or os.name != "posix" or os.path.samestat(os.fstat(number), os.stat(name))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def explained(path, every=False):
    """Errors of the disk that a library meets in this block while it works for `path`, as sentences. every: also those of permissions, where it reads no other
    file."""
    try:
        yield
    except OSError as error:
        if len(error.args) < 2 or not every and error.errno not in DISK:
            raise
        raise explain(error, path) from error


def publish(scratch, path):
    """Give a temporary file or folder that is on the disk its final name, and see to it that the name is on the disk, too."""
    try:
        sync(scratch)
        os.replace(scratch, path)
        sync(Path(path).parent)
    except OSError as error:
        raise explain(error, path) from error


def temporary(path):
    """A name beside `path` for its temporary file or folder; those that killed processes left there are deleted."""
    sweep(path.parent)
    return path.with_name(f".{path.name[:NAME_LENGTH]}.{_machine():08x}-{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")


def sweep(folder):
    """Delete temporaries in a folder whose process has ended, once a process; of other machines those that are a day old."""
    if (folder := os.path.realpath(folder)) in _swept:
        return
    _swept.add(folder)
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if (found := TEMPORARY.fullmatch(entry.name)) and _is_stale(entry, int(found[1], 16), int(found[2])):
                discard(Path(entry.path))


def stamp(path):
    """What changes when a file does, unless somebody sets its time back: (size, time of the last change in ns); None where it cannot be looked at."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def discard(path):
    """Delete a temporary file or folder, if it is there and the disk lets us."""
    with contextlib.suppress(OSError):
        shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)


def sync(path):
    """fsync of a file, or of a folder, whose names only then survive a power cut; Windows has none of folders, and some network disks neither."""
    is_folder = os.path.isdir(path)
    if is_folder and os.name == "nt":
        return
    number = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR | getattr(os, "O_BINARY", 0))
    try:
        with contextlib.suppress(OSError) if is_folder else contextlib.nullcontext():
            os.fsync(number)
    finally:
        os.close(number)


def explain(error, path):
    """An OSError met while `path` was written -> one of its class and errno that says in a sentence what to do."""
    path, reason = Path(path), error.errno
    folder = printable(path.parent)
    if reason in FULL:
        why = f"{error.strerror or 'No space left on device'}: free some space, or name another place"
    elif reason == errno.EROFS:
        why = "the disk is read-only: name another place"
    elif reason in (errno.EACCES, errno.EPERM):
        why = f"you may not write into {folder}: change the permissions, or name another place"
    elif reason == errno.ENOENT and not path.parent.is_dir():
        why = f"there is no folder {folder}: make it first, or name another place"
    elif reason == errno.ENOTDIR:
        why = f"{folder} is no folder: name another place"
    elif reason == errno.ENAMETOOLONG:
        why = "its name is too long: name a shorter one"
    elif reason == errno.ELOOP:
        why = "it is a link to itself: delete the link, or name another place"
    else:
        why = f"{error.strerror or error}: check the folder and the disk"
    told = type(OSError(reason, ""))(f"{printable(path)} cannot be written ({why}).")      # libraries have classes of their own that take other arguments
    told.errno = reason
    return told


def printable(text, limit=None):
    """A file's name, or what a library says, as it can stand in a sentence: one line, without what would steer a terminal; at
    most `limit` characters.

    >>> print(printable("holi" + chr(10) + "day.jpg"), "|", printable("a very long name", limit=6))
    holi\\nday.jpg | a very ...
    """
    text = "".join(char if char.isprintable() else repr(char)[1:-1] for char in str(text))
    return text if limit is None or len(text) <= limit else f"{text[:limit]} ..."


class _Watched(io.FileIO):
    """A file that remembers the first error of the disk: libraries that write into it report their own."""
    error = None

    def write(self, content):
        try:
            return super().write(content)
        except OSError as error:
            self.error = self.error or error
            raise


def _target(path):
    """The file that `path` leads to, which may be written."""
    if "\0" in str(path):
        raise ValueError(f"{str(path)!r} cannot be written: its name holds a zero byte.")
    target = Path(os.path.realpath(path))
    try:
        kind = target.stat().st_mode
    except FileNotFoundError:
        return target
    except OSError as error:
        raise explain(error, path) from error
    if not stat.S_ISREG(kind):
        raise IsADirectoryError(f"{path} is {'a folder' if stat.S_ISDIR(kind) else 'no regular file'}: name a file to write.")
    if not os.access(target, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise PermissionError(f"{path} is read-only: change its permissions, or name another file.")
    return target


def _machine():
    """A number for this machine since it was started and, in a container, for its processes: where the number is the same, so are process ids."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts += [Path("/proc/sys/kernel/random/boot_id").read_text(), os.readlink("/proc/self/ns/pid")]
    return zlib.crc32("\n".join(parts).encode())


def _is_stale(entry, machine, process):
    if machine == _machine() and os.name == "posix":
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        except (OSError, OverflowError):                       # another user's
            pass
        return False
    return time.time() - entry.stat(follow_symlinks=False).st_mtime > STALE_SECONDS
