"""Archives from the network, unpacked without surprises: nothing outside the folder, no links, no bombs, all or nothing."""
import errno
import os
import shutil
import stat
import tarfile
import unicodedata
import zipfile
from pathlib import Path, PurePosixPath, PureWindowsPath

from colorlib import files

__all__ = ["extract"]

MAX_BYTES = 256 << 30           # of an archive's contents, unless told otherwise
MAX_RATIO, LOW_BYTES = 200, 1 << 30      # contents larger than the second may be so many times the archive's size: photos and text compress to a tenth at best
MAX_MEMBERS = 20_000_000        # ImageNet has 14 million pictures
LONGEST = 255                   # bytes of a name, on most disks
CHUNK = 1 << 20
RESERVED = {"con", "prn", "aux", "nul", *(f"{name}{i}" for name in ("com", "lpt") for i in range(1, 10))}      # names of devices on Windows


def extract(archive, folder, max_bytes=None):
    """Unpack a .tar (any compression) or .zip into a folder; return the Path. The folder is touched only when all is well;
    archives within stay as they are.

    max_bytes: what the contents may take (default: 256 GiB, and at most 200 times the archive where that is more than
    1 GiB). Raises ValueError naming the archive when it is damaged, encrypted or larger, and naming the member that is a
    link or a device, has an absolute name, climbs out of the folder, has the name of another, or one that other systems
    cannot hold; NotADirectoryError where the folder is a file, OSError when the disk is full (see `files.explain`).

    >>> with zipfile.ZipFile("photos.zip", "w") as made:
    ...     made.writestr("beach/notes.txt", "sand")      # ../notes.txt would be refused
    >>> [path.as_posix() for path in extract("photos.zip", "photos").rglob("*.txt")]
    ['photos/beach/notes.txt']
    """
    archive, folder = Path(archive).expanduser(), Path(folder).expanduser()
    if not archive.is_file():
        raise ValueError(f"{archive} is not a file: check the path.")
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file: name a folder to unpack {archive.name} into.")
    most = max_bytes if max_bytes is not None else min(MAX_BYTES, max(LOW_BYTES, MAX_RATIO * archive.stat().st_size))
    files.make_folder(folder.parent)
    with files.scratch_folder(folder) as fresh:
        try:
            (_unzip if zipfile.is_zipfile(archive) else _untar)(archive, fresh, most)
            if hasattr(os, "sync"):
                os.sync()                                              # thousands of files one by one would take minutes
        except Exception as error:                                     # each compression has errors of its own
            if isinstance(error, OSError) and error.errno in files.DISK:
                raise files.explain(error, folder) from error
            if isinstance(error, _Refused) or isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
                raise
            reason = str(error).partition("\n")[0].rstrip(":")          # tarfile tells of each compression, a line each
            raise ValueError(f"{archive} is damaged or no archive ({reason}): delete it and download it again.") from error
        _move_into(archive, fresh, folder)
    return folder


class _Refused(ValueError):
    pass


def _unzip(archive, fresh, most):
    with zipfile.ZipFile(archive) as opened:
        members, guard = opened.infolist(), _Guard(archive, most)
        for member in members:
            kind = stat.S_IFMT(member.external_attr >> 16)
            guard.check(member.orig_filename, member.is_dir(), kind not in (0, stat.S_IFREG, stat.S_IFDIR), member.file_size)
            if member.flag_bits & 1:
                raise _Refused(f"{archive} is encrypted: unpack it yourself, with its password, and name the folder.")
        for member in members:
            guard.unpack(fresh / member.filename, None if member.is_dir() else opened.open(member))


def _untar(archive, fresh, most):
    with tarfile.open(archive, tarinfo=_Info) as opened:
        guard = _Guard(archive, most)
        for member in opened:
            guard.check(member.name, member.isdir(), not (member.isreg() or member.isdir()), member.size)
            if member.issparse():
                guard.refuse(member.name, "is stored with holes: unpack the archive yourself and name the folder")
            count = guard.unpack(fresh / member.name, None if member.isdir() else opened.extractfile(member))
            if member.isreg() and count != member.size:
                raise tarfile.ReadError("it ends too early")
        if not ends_well(opened):
            raise tarfile.ReadError("it ends too early")
        while opened.fileobj.read(CHUNK):                              # to the end, where a compressed file keeps its checksum
            pass


def ends_well(opened):
    """Whether a tar that has been read through stopped at its end mark; tarfile stops as quietly at a cut or at damage."""
    opened.fileobj.seek(opened.offset)
    block = opened.fileobj.read(tarfile.BLOCKSIZE)
    return len(block) == tarfile.BLOCKSIZE and not any(block)


class _Info(tarfile.TarInfo):
    """A member whose name and other particulars take no more than a megabyte: tarfile reads them into memory."""

    def _proc_member(self, opened):
        if self.type in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK) and self.size > CHUNK:
            raise tarfile.ReadError(f"the name of a member takes {self.size:,} bytes")
        return super()._proc_member(opened)


class _Guard:
    """Refuses members by their names, kinds and sizes; counts what was really unpacked."""

    def __init__(self, archive, most):
        self.archive, self.most, self.told, self.copied, self.seen, self.files = archive, most, 0, 0, {}, set()

    def refuse(self, name, why):
        raise _Refused(f"{self.archive} is refused: its member {name[:120]!r} {why}.")

    def check(self, name, is_folder, is_special, size):
        parts = [part for part in PurePosixPath(name).parts if part != "."]
        if any(kind(name).is_absolute() or kind(name).drive or kind(name).root or ".." in kind(name).parts for kind in (PurePosixPath, PureWindowsPath)):
            self.refuse(name, "climbs out of the folder")
        if not parts and not is_folder:
            self.refuse(name, "has no name")
        if is_special:
            self.refuse(name, "is a link or a device")
        if any(unicodedata.category(letter) == "Cc" for letter in name):
            self.refuse(name, "has control characters in its name")
        if any(len(os.fsencode(part)) > LONGEST for part in parts) or len(os.fsencode(name)) > 4 * LONGEST:
            self.refuse(name, "has a name too long for a disk")
        if os.name == "nt" and any(part.partition(".")[0].strip().lower() in RESERVED for part in parts):
            self.refuse(name, "has the name of a device")
        plain = ""
        for depth, part in enumerate(parts, 1):
            here, plain = f"{depth}{part}", f"{plain}/{unicodedata.normalize('NFC', part).casefold()}"
            kind = "folder" if is_folder or depth < len(parts) else "file"
            before = self.seen.setdefault(plain, (here, kind))
            if before != (here, kind) or kind == "file" and plain in self.files:
                self.refuse(name, "has the name of another member, on disks that do not tell capitals apart at least")
        if not is_folder:
            self.files.add(plain)
        self.told += max(0, size)
        if self.told > self.most or len(self.seen) > MAX_MEMBERS or size < 0:
            self._too_large()

    def unpack(self, target, source):
        """Make a folder, where source is None, or copy a file as it really is, whatever size its header tells. Returns its bytes."""
        if source is None:
            target.mkdir(parents=True, exist_ok=True)
            return 0
        target.parent.mkdir(parents=True, exist_ok=True)
        count = 0
        with source, open(target, "xb") as file:
            while chunk := source.read(CHUNK):
                count += len(chunk)
                self.copied += len(chunk)
                if self.copied > self.most:
                    self._too_large()
                file.write(chunk)
        return count

    def _too_large(self):
        raise _Refused(f"{self.archive} unpacks to more than max_bytes={self.most:,} bytes: raise max_bytes if you trust it.")


def _move_into(archive, fresh, folder):
    """Give the unpacked folder its name, or move what is in it into one that is there, file by file."""
    folder = Path(os.path.realpath(folder))
    if not folder.exists():
        return files.publish(fresh, folder)
    found = [(Path(parent).relative_to(fresh), folders, names) for parent, folders, names in os.walk(fresh)]
    for parent, folders, names in found:
        for name in folders + names:
            target = folder / parent / name
            if target.is_symlink():
                raise _Refused(f"{archive} was not unpacked: {target} is a link, through which it would write elsewhere; delete the link.")
            if target.exists() and target.is_dir() != (name in folders):
                raise _Refused(f"{archive} was not unpacked: {target} is in the way; delete it, or choose another folder.")
    for parent, folders, names in found:
        for name in folders:
            files.make_folder(folder / parent / name)
        for name in names:
            try:
                os.replace(fresh / parent / name, folder / parent / name)
            except OSError as error:
                if error.errno != errno.EXDEV:                         # a disk of its own begins in this folder
                    raise files.explain(error, folder / parent / name) from error
                with files.scratch_name(folder / parent / name) as scratch:
                    shutil.copyfile(fresh / parent / name, scratch)
        files.sync(folder / parent)
    return None
