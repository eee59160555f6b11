"""Files from the network: resumed when interrupted, checked before they get their name, unpacked without surprises."""
import hashlib
import http.client
import os
import shutil
import stat
import tarfile
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path, PurePosixPath, PureWindowsPath

from colorlib.progress import track

MAX_BYTES = 4 << 30             # what nobody expects to be larger
CHUNK = 1 << 20
TIMEOUT = 30                    # seconds without a byte
AGENT = "colorlib"


class _WrongFile(Exception):
    """What the server gave is not what was asked for: asking again is no use."""


def download(url, path, sha256=None, size=None, max_bytes=MAX_BYTES, mirrors=(), retries=3, progress=None):
    """Fetch url, or the first mirror that works, to `path`; return the Path. A file that is there and passes the checks
    is kept.

    sha256 (64 hex digits) and size (bytes) are checked before the file gets its name: under `path` there is a whole
    file or none. An interrupted download is resumed if the server confirms that the file is still the same. retries:
    attempts for each address. Raises ValueError for a bad argument, a wrong checksum or size, or a web page in place of
    the file; ConnectionError when nothing answers.
    """
    path, addresses = Path(path).expanduser(), [url, *mirrors]
    for one in addresses:
        if urllib.parse.urlsplit(str(one)).scheme not in ("http", "https"):
            raise ValueError(f"{one} is not a web address: give one that starts with https://.")
    if sha256 is not None and (len(sha256) != 64 or set(sha256.lower()) - set("0123456789abcdef")):
        raise ValueError(f"sha256 is {sha256!r}: give 64 hex digits.")
    if size is not None and size > max_bytes:
        raise ValueError(f"{path.name} has {size:,} bytes, more than max_bytes={max_bytes:,}: raise max_bytes if you "
                         "want it.")
    if path.is_file() and _find_fault(path, sha256, size) is None:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    wrong, silent = [], []
    for address in addresses:
        for attempt in range(max(1, retries)):
            try:
                _fetch(address, path, sha256, size, max_bytes, progress)
                return path
            except _WrongFile as error:
                wrong.append(f"{address} {error}")
                break
            except urllib.error.HTTPError as error:
                silent.append(f"{address} answers {error.code} {error.reason}")
                error.close()
                if error.code < 500 and error.code != 429:
                    break
            except (OSError, http.client.HTTPException) as error:      # no network, no such host, connection cut
                silent.append(f"{urllib.parse.urlsplit(address).netloc} cannot be reached or stopped answering "
                              f"({getattr(error, 'reason', None) or error or type(error).__name__})")
            time.sleep(min(8, 0.2 * 4 ** attempt) if attempt + 1 < retries else 0)
    if wrong:
        raise ValueError(f"{path.name} could not be fetched: {'; '.join(dict.fromkeys(wrong))}.")
    raise ConnectionError(f"{path.name} could not be fetched: {'; '.join(dict.fromkeys(silent))}. Check the network, "
                          f"or put the file at {path} yourself.")


def _fetch(url, path, sha256, size, max_bytes, progress):
    """One attempt: go on where the last one stopped if the server still has the same version, check, rename."""
    partial, version = path.with_name(path.name + ".partial"), path.with_name(path.name + ".partial.version")
    done = partial.stat().st_size if partial.exists() and version.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": AGENT, "Accept-Encoding": "identity"})
    if done:
        request.add_header("Range", f"bytes={done}-")
        request.add_header("If-Range", version.read_text())            # another version is then sent whole
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:          # there is nothing after `done`: the file is whole or has changed
            raise
        error.close()
        partial.unlink()
        return _fetch(url, path, sha256, size, max_bytes, progress)
    with response:
        resumed = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {done}-")
        done = done if resumed else 0
        length = response.headers.get("Content-Length")
        total = done + int(length) if length and length.isdigit() else None
        if (total or 0) > max_bytes:
            raise _WrongFile(f"wants to send {total:,} bytes, more than max_bytes={max_bytes:,}")
        if size is not None and total is not None and total != size:
            raise _WrongFile(f"{_page(response, path)}has {total:,} bytes instead of {size:,}")
        tag = response.headers.get("ETag") or response.headers.get("Last-Modified")
        version.write_text(tag) if tag and not tag.startswith("W/") else version.unlink(missing_ok=True)
        bar = track(None, progress, total=total, initial=done, unit="B", unit_scale=True, desc=path.name)
        with open(partial, "ab" if resumed else "wb") as file, bar:
            while chunk := response.read(CHUNK):
                if not done and _is_page(chunk) and not _is_page_name(path):
                    raise _WrongFile("sends a web page in place of the file (a login or an error page)")
                done += len(chunk)
                if done > max_bytes:
                    raise _WrongFile(f"sends more than max_bytes={max_bytes:,} bytes")
                file.write(chunk)
                bar.update(len(chunk))
            file.flush()
            os.fsync(file.fileno())
    if total is not None and done < total:
        raise ConnectionError(f"the connection was cut after {done:,} of {total:,} bytes")
    fault = _find_fault(partial, sha256, size)
    if fault is None:
        os.replace(partial, path)
    else:
        partial.unlink()
    version.unlink(missing_ok=True)
    if fault and resumed:
        raise ConnectionError(f"the parts of an interrupted download do not fit together: {fault}")
    if fault:
        raise _WrongFile(f"sends another file: {fault}")


def _find_fault(path, sha256, size):
    """What is wrong with a file, in words, or None."""
    if size is not None and path.stat().st_size != size:
        return f"it has {path.stat().st_size:,} bytes instead of {size:,}"
    if sha256 is not None:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256.lower():
            return f"its sha256 is {found[:12]}... instead of {sha256.lower()[:12]}..."
    return None


def _is_page_name(path):
    return path.suffix.lower() in (".html", ".htm", ".xhtml")


def _is_page(chunk):
    head = chunk[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith(b"<?xml"):
        return b"<html" in chunk[:4096].lower()
    return head.startswith((b"<!doctype html", b"<html", b"<head"))


def _page(response, path):
    kind = response.headers.get_content_type()
    return "sends a web page in place of the file, which " if kind == "text/html" and not _is_page_name(path) else ""


# ---------------------------------------------------------------- archives

def extract(archive, folder, max_bytes=None):
    """Unpack a .tar (any compression) or .zip into a folder; return the Path. The folder is touched only when all is
    well.

    max_bytes: what the contents may take (default: no limit). Raises ValueError naming the archive when it is damaged,
    and naming the member that is a link or a device, has an absolute name or climbs out of the folder.
    """
    archive, folder = Path(archive).expanduser(), Path(folder).expanduser()
    if not archive.is_file():
        raise ValueError(f"{archive} is not a file: check the path.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{folder.name}.partial-"))
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                members = opened.infolist()
                for member in members:
                    kind = stat.S_IFMT(member.external_attr >> 16)
                    _refuse(archive, member.filename, kind not in (0, stat.S_IFREG, stat.S_IFDIR))
                _refuse_size(archive, sum(member.file_size for member in members), max_bytes)
                opened.extractall(fresh)
        else:
            with tarfile.open(archive) as opened:
                total = 0
                for member in opened:
                    _refuse(archive, member.name, not (member.isreg() or member.isdir()))
                    _refuse_size(archive, total := total + member.size, max_bytes)
                    opened.extract(member, fresh, filter="data")
                if not ends_well(opened):
                    raise tarfile.ReadError("it ends too early")
                while opened.fileobj.read(CHUNK):      # to the end, where a compressed file keeps its checksum
                    pass
        _move_into(fresh, folder)
    except Exception as error:                                         # each compression has errors of its own
        if isinstance(error, ValueError) or isinstance(error, OSError) and error.errno is not None:
            raise                                                      # ours, or the disk's
        raise ValueError(f"{archive} is damaged or no archive ({error}): delete it and download it again.") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


def ends_well(opened):
    """Whether a tar that has been read through stopped at its end mark; tarfile stops as quietly at a cut or at
    damage."""
    opened.fileobj.seek(opened.offset)
    block = opened.fileobj.read(tarfile.BLOCKSIZE)
    return len(block) == tarfile.BLOCKSIZE and not any(block)


def _refuse(archive, name, is_special):
    climbs = any(kind(name).is_absolute() or kind(name).drive or kind(name).root or ".." in kind(name).parts
                 for kind in (PurePosixPath, PureWindowsPath))
    if climbs or is_special:
        raise ValueError(f"{archive} is refused: its member {name!r} "
                         f"{'is a link or a device' if is_special else 'climbs out of the folder'}.")


def _refuse_size(archive, total, max_bytes):
    if max_bytes is not None and total > max_bytes:
        raise ValueError(f"{archive} unpacks to more than max_bytes={max_bytes:,} bytes: raise max_bytes if you trust "
                         "it.")


def _move_into(fresh, folder):
    os.chmod(fresh, 0o755)
    if not folder.exists():
        os.rename(fresh, folder)
    else:
        shutil.copytree(fresh, folder, dirs_exist_ok=True)
