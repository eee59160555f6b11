"""Files from the network: resumed when interrupted, checked before they get their name, never fetched where the network is forbidden.

With COLORLIB_OFFLINE=1 or HF_HUB_OFFLINE=1 in the environment nothing of this package asks the network for anything; what is missing is
named, and where to put it.
"""
import contextlib
import hashlib
import http.client
import json
import os
import queue
import re
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from email.utils import parsedate_to_datetime
from pathlib import Path

from colorlib import files
from colorlib.progress import track

__all__ = ["download", "is_offline", "OFFLINE"]

MAX_BYTES = 4 << 30             # what nobody expects to be larger
CHUNK = 1 << 20
TIMEOUT = 30.0                  # seconds without a byte
SLOWEST, PATIENCE = 1024, 60.0  # bytes a second, over so many seconds: what is slower counts as stopped
LONGEST_REASON = 100            # characters of what a server says
LONGEST_WAIT = 60.0             # seconds; a server that asks for a longer pause is left
KEEP_EVERY = 32 << 20           # bytes after which an interrupted download could go on
HEAD = 4096                     # bytes by which a page is told from a file
AGENT = "colorlib"
OFFLINE = ("COLORLIB_OFFLINE", "HF_HUB_OFFLINE")
TEXT_SUFFIXES = (".json", ".jsonl", ".ipynb", ".geojson", ".txt", ".csv", ".md", ".py", ".yaml", ".yml", ".xml", ".svg")
PAGE_SUFFIXES = (".html", ".htm", ".xhtml")
PAGE_TAGS = (b"<!doctype html", b"<html", b"<head", b"<title", b"<body", b"<script", b"<meta", b"<style", b"<h1", b"<p>", b"<center", b"<div")


class _WrongFile(Exception):
    """What the server gave is not what was asked for: asking again is no use."""


class _Stale(Exception):
    """What was kept of an interrupted download does not fit: begin anew."""


def is_offline():
    """Whether the environment forbids the network: one of OFFLINE is set, and not to 0, false, no or off.

    >>> from unittest import mock
    >>> with mock.patch.dict(os.environ, COLORLIB_OFFLINE="1"):
    ...     is_offline()
    True
    """
    return any(os.environ.get(name, "").strip().lower() not in ("", "0", "false", "no", "off") for name in OFFLINE)


def download(url, path, sha256=None, size=None, max_bytes=MAX_BYTES, mirrors=(), retries=3, progress=None, timeout=TIMEOUT):
    """Fetch url, or the first mirror that works, to `path`; return the Path. A file that is there and passes the checks is kept.

    sha256 (64 hex digits, or the first 8 or more of them) and size (bytes) are checked before the file gets its name:
    under `path` there is a whole file or none. An interrupted download is resumed where what is kept of it is as it was
    and the server confirms that its file still is. Two processes that fetch the same file take turns. retries: attempts
    for each address. timeout: seconds without a byte; a server that sends less than 1 KiB a second for a minute has
    stopped, too. Raises ValueError for a bad argument, a wrong checksum or size, or a page in place of the file;
    ConnectionError when nothing answers, or the network is forbidden (`is_offline`); IsADirectoryError where path is a
    folder, OSError when the disk is full or cannot be written.

    >>> Path("photos.tar").write_bytes(b"here already")
    12
    >>> download("https://example.org/photos.tar", "photos.tar", size=12).name      # so nobody is asked
    'photos.tar'
    """
    path, addresses = Path(path).expanduser(), [_address(one) for one in (url, *mirrors)]
    if sha256 is not None and (not 8 <= len(sha256) <= 64 or set(sha256.lower()) - set("0123456789abcdef")):
        raise ValueError(f"sha256 is {sha256!r}: give 64 hex digits.")
    if size is not None and size > max_bytes:
        raise ValueError(f"{path.name} has {size:,} bytes, more than max_bytes={max_bytes:,}: raise max_bytes if you want it.")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: name the file to download to.")
    if _is_right(path, sha256, size):
        return path
    if is_offline():
        found, switch = "is damaged or another file" if path.is_file() else "is not", " or ".join(name for name in OFFLINE if name in os.environ)
        raise ConnectionError(f"{path.name} {found} at {path}, and the network is off ({switch} is set): fetch {url} elsewhere and put it there, "
                              "or unset the variable.")
    files.make_folder(path.parent)
    with files.locked(path, seconds=3600, keep=False):
        if not _is_right(path, sha256, size):
            _fetch_any(addresses, path, sha256, size, max_bytes, retries, progress, timeout)
    return path


def _fetch_any(addresses, path, sha256, size, max_bytes, retries, progress, timeout):
    """Try address after address. Raises what `download` raises."""
    wrong, silent = [], []
    for address in addresses:
        for attempt in range(max(1, retries)):
            pause = min(8, 0.2 * 4 ** attempt)
            try:
                try:
                    return _fetch(address, path, sha256, size, max_bytes, progress, timeout)
                except _Stale:
                    return _fetch(address, path, sha256, size, max_bytes, progress, timeout)      # nothing is kept now
            except (_WrongFile, _Stale) as error:
                _forget(path)
                wrong.append(f"{address} {error}")
                break
            except urllib.error.HTTPError as error:
                silent.append(f"{address} answers {error.code} {files.printable(error.reason, LONGEST_REASON)}")
                asked = _retry_after(error)
                error.close()
                if error.code < 500 and error.code not in (408, 425, 429):
                    break
                if asked is not None and asked > LONGEST_WAIT:
                    silent[-1] += f" and asks for a pause of {asked:.0f} s"
                    break
                pause = max(pause, asked or 0)
            except (OSError, http.client.HTTPException) as error:      # no network, no such host, connection cut
                reason = getattr(error, "reason", None) or error
                if getattr(error, "about_disk", False):
                    raise
                if isinstance(reason, ssl.SSLError) and not isinstance(reason, ssl.SSLEOFError):
                    silent.append(f"{urllib.parse.urlsplit(address).netloc} cannot prove who it is, or does not speak TLS ({reason})")
                    break
                silent.append(f"{urllib.parse.urlsplit(address).netloc} cannot be reached or stopped answering "
                              f"({files.printable(reason, LONGEST_REASON) or type(error).__name__})")
            time.sleep(pause if attempt + 1 < retries else 0)
    if not path.with_name(path.name + ".partial.version").exists():
        _forget(path)                                                  # nothing could go on with it
    if wrong:
        raise ValueError(f"{path.name} could not be fetched: {'; '.join(dict.fromkeys(wrong + silent))}.")
    raise ConnectionError(f"{path.name} could not be fetched: {'; '.join(dict.fromkeys(silent))}. Check the network, or put the file at {path} yourself.")


# ---------------------------------------------------------------- one attempt

class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to web addresses only, and not from https to http."""

    def redirect_request(self, request, *arguments):
        before, after = (urllib.parse.urlsplit(one) for one in (request.full_url, arguments[-1]))
        if after.scheme not in ("http", "https") or before.scheme == "https" != after.scheme:
            raise _WrongFile(f"leads to {files.printable(arguments[-1], LONGEST_REASON)}, which is no "
                             f"{'web' if after.scheme not in ('http', 'https') else 'https'} address")
        return super().redirect_request(request, *arguments)

    def http_error_302(self, request, file, code, message, headers):
        where = headers.get("Location") or ""
        if (scheme := urllib.parse.urlsplit(where).scheme) and scheme not in ("http", "https"):
            raise _WrongFile(f"leads to {files.printable(where, LONGEST_REASON)}, which is no web address")
        return super().http_error_302(request, file, code, message, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _opener():
    """urllib's, without the handlers for local files, FTP and data in the address."""
    opener = urllib.request.OpenerDirector()
    for kind in (urllib.request.ProxyHandler, urllib.request.UnknownHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler,
                 urllib.request.HTTPDefaultErrorHandler, _Redirects, urllib.request.HTTPErrorProcessor):
        opener.add_handler(kind())
    return opener


def _open(request, timeout):
    """The response to a request. Headers that drip in, each byte in time, do not keep us for more than three times the timeout."""
    answers = queue.SimpleQueue()

    def ask():
        try:
            answers.put((_opener().open(request, timeout=timeout), None))
        except BaseException as error:
            answers.put((None, error))
    threading.Thread(target=ask, daemon=True).start()
    try:
        response, error = answers.get(timeout=3 * timeout)
    except queue.Empty:
        raise TimeoutError(f"no answer within {3 * timeout:.0f} s") from None
    if error is not None:
        raise error
    return response


def _fetch(url, path, sha256, size, max_bytes, progress, timeout):
    """One attempt: go on where the last one stopped if what is kept fits and the server still has the same version, check, rename."""
    partial = path.with_name(path.name + ".partial")
    done, digest, tag = _kept(path, url, sha256)
    request = urllib.request.Request(url, headers={"User-Agent": AGENT, "Accept-Encoding": "identity"})
    if done:
        request.add_header("Range", f"bytes={done}-")
        request.add_header("If-Range", tag)                            # another version is then sent whole
    try:
        response = _open(request, timeout)
    except (ValueError, OverflowError) as error:                       # of a malformed address that it was sent to
        raise _WrongFile(f"cannot be asked, or leads to no web address ({files.printable(error, LONGEST_REASON)})") from None
    except urllib.error.HTTPError as error:
        if error.code == 416 and done:                                 # there is nothing after `done`: the file is whole or has changed
            error.close()
            _forget(path)
            raise _Stale("has no more of the file than is here already") from None
        raise
    with response:
        resumed, total = _place(response, path, done, tag)
        unpack = _decoder(response, path)
        if not resumed:
            done, digest = 0, hashlib.sha256()
        if (total or 0) > max_bytes:
            raise _WrongFile(f"wants to send {total:,} bytes, more than max_bytes={max_bytes:,}")
        if size is not None and total is not None and total != size and unpack is None:
            raise _WrongFile(f"{_page(response, path)}has {total:,} bytes instead of {size:,}")
        tag = response.headers.get("ETag") or response.headers.get("Last-Modified")
        tag = tag if tag and not tag.startswith("W/") and unpack is None else None
        sent, saved = done, done
        bar = track(None, progress, total=total, initial=done, unit="B", unit_scale=True, desc=path.name)
        try:
            with _writing(path):
                file = open(partial, "ab" if resumed else "wb", buffering=0)      # what is counted is then what is in the file
            with file, bar:
                try:
                    for chunk in _chunks(response, not resumed, timeout):
                        if not sent and (what := not_the_file(chunk, path.name)):
                            raise _WrongFile(f"sends {what}")
                        sent += len(chunk)
                        for content in [chunk] if unpack is None else unpack(chunk):
                            if done + len(content) > max_bytes:
                                raise _WrongFile(f"sends more than max_bytes={max_bytes:,} bytes")
                            while content:
                                with _writing(path):
                                    count = file.write(content)
                                digest.update(content[:count])
                                done, content = done + count, content[count:]
                        bar.update(len(chunk))
                        if tag and done - saved >= KEEP_EVERY:
                            saved = _keep(path, file, url, tag, done, digest)
                finally:
                    if tag:
                        _keep(path, file, url, tag, done, digest)
                with _writing(path):
                    os.fsync(file.fileno())
        except OSError as error:
            if getattr(error, "about_disk", False) and not tag:
                _forget(path)
            raise
        surplus = total is not None and sent >= total and _sends_more(response)
    if total is not None and sent < total:
        raise ConnectionError(f"the connection was cut after {sent:,} of {total:,} bytes")
    if unpack is not None and not unpack.ended():
        raise ConnectionError("the connection was cut, or what is sent cannot be unpacked")
    if surplus and sha256 is None and size is None:
        fault = "the server sends more bytes than it announces"
    elif not done and size != 0:
        fault = "it has no bytes"
    else:
        fault = f"it has {done:,} bytes instead of {size:,}" if size not in (None, done) else _wrong_sum(digest, sha256)
    if fault is None:
        files.publish(partial, path)
    _forget(path)
    if fault and resumed:
        raise _Stale(f"and what was kept of an interrupted download do not fit together: {fault}")
    if fault:
        raise _WrongFile(f"sends another file: {fault}")


def _place(response, path, done, tag):
    """(whether this goes on after `done` bytes, bytes of the whole file or None)."""
    length = response.headers.get("Content-Length", "")
    length = int(length) if length.isdigit() and response.length is not None else None      # without the second, it comes in chunks
    if response.status != 206:
        return False, length
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", "").strip())
    now = response.headers.get("ETag")
    if not done or not found or int(found[1]) != done or now and tag.startswith('"') and now != tag:
        _forget(path)
        raise _Stale("sends another part of the file than it was asked for")
    total = int(found[3]) if found[3] != "*" else None if length is None else done + length
    return True, total


def _chunks(response, is_start, timeout):
    """What a response sends, as it comes; the first piece large enough to tell a page by. Raises ConnectionError when it comes too slowly."""
    head, since, count = b"" if is_start else None, time.monotonic(), 0
    while chunk := response.read1(CHUNK):
        count += len(chunk)
        if (now := time.monotonic()) - since > PATIENCE:
            if count < SLOWEST * (now - since):
                raise ConnectionError(f"it sends less than {SLOWEST:,} bytes a second")
            since, count = now, 0
        if head is not None:
            head += chunk
            if len(head) < HEAD:
                continue
            chunk, head = head, None
        yield chunk
    if head:
        yield head


def _sends_more(response):
    """Whether anything follows the bytes that were announced."""
    with contextlib.suppress(Exception):                               # what lies under a response may differ; a closed connection is what should be found
        response.fp.raw._sock.settimeout(0.2)
        return bool(response.fp.peek(1))
    return False


def _decoder(response, path):
    """None, or what unpacks content that came compressed though it was not asked for: a function from bytes to pieces, with `ended()`."""
    coding = response.headers.get("Content-Encoding", "").strip().lower()
    if coding in ("", "identity") or coding in ("gzip", "x-gzip") and path.suffix.lower() in (".gz", ".tgz"):      # the archive's own
        return None
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise _WrongFile(f"sends the file compressed ({files.printable(coding, LONGEST_REASON)}), which was not asked for")
    opened = zlib.decompressobj(47)

    def unpack(chunk):
        nonlocal opened
        try:
            while chunk:
                if opened.eof:                                         # of several parts, one after the other
                    opened = zlib.decompressobj(47)
                yield opened.decompress(chunk, CHUNK)
                chunk = opened.unused_data if opened.eof else opened.unconsumed_tail
        except zlib.error as error:
            raise _WrongFile(f"sends what it says is {coding} and is not ({error})") from None
    unpack.ended = lambda: opened.eof
    return unpack


@contextlib.contextmanager
def _writing(path):
    """Errors of the disk, set apart from those of the network."""
    try:
        yield
    except OSError as error:
        told = files.explain(error, path)
        told.about_disk = True
        raise told from error


# ---------------------------------------------------------------- what is kept of an interrupted download

def _kept(path, url, sha256):
    """(bytes, their sha256 under way, the server's tag) of an interrupted download that is as it was, else (0, a new sha256, ""). Of another address only where
    a checksum will tell whether it was the same file."""
    partial, record = path.with_name(path.name + ".partial"), path.with_name(path.name + ".partial.version")
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        found, digest = json.loads(record.read_text()), hashlib.sha256()
        if (found["url"] == url or sha256) and partial.stat().st_size >= found["bytes"] > 0 and "\n" not in found["tag"]:
            with open(partial, "r+b") as file:
                left = found["bytes"]
                while left and (chunk := file.read(min(left, CHUNK))):
                    digest.update(chunk)
                    left -= len(chunk)
                if not left and digest.hexdigest() == found["sha256"]:
                    file.truncate(found["bytes"])                      # what came after the record may not have reached the disk
                    return found["bytes"], digest, found["tag"]
    _forget(path)
    return 0, hashlib.sha256(), ""


def _keep(path, file, url, tag, done, digest):
    """Note how much of a download is on the disk; returns it."""
    with contextlib.suppress(OSError):                                 # without a note it begins anew
        os.fsync(file.fileno())
        record = {"url": url, "tag": tag, "bytes": done, "sha256": digest.hexdigest()}
        files.write_atomic(path.with_name(path.name + ".partial.version"), json.dumps(record).encode())
    return done


def _forget(path):
    for name in (path.name + ".partial", path.name + ".partial.version"):
        files.discard(path.with_name(name))


# ---------------------------------------------------------------- checks

def _is_right(path, sha256, size):
    """Whether a file is there and passes the checks; without any, whether it is more than a page or an error message that somebody saved under its name."""
    if not path.is_file() or find_fault(path, sha256, size) is not None:
        return False
    if sha256 is not None or size is not None:
        return True
    with open(path, "rb") as file:
        head = file.read(HEAD)
    return bool(head) and not_the_file(head, path.name) is None


def find_fault(path, sha256=None, size=None):
    """What is wrong with a file, in words, or None. sha256: its hex digits, or the first of them."""
    if size is not None and path.stat().st_size != size:
        return f"it has {path.stat().st_size:,} bytes instead of {size:,}"
    if sha256 is not None:
        with open(path, "rb") as file:
            return _wrong_sum(hashlib.file_digest(file, "sha256"), sha256)
    return None


def _wrong_sum(digest, sha256):
    if sha256 is not None and not digest.hexdigest().startswith(sha256.lower()):
        return f"its sha256 is {digest.hexdigest()[:12]}... instead of {sha256.lower()[:12]}..."
    return None


def not_the_file(head, name):
    """What a file is, by its first bytes, where it is a web page, an error message or a Git LFS pointer in place of a file: that in words; None for anything
    else.

    name: of the file, whose suffix says whether it may be a page or text."""
    text, suffix = _as_utf8(head), Path(name).suffix.lower()
    start = re.sub(rb"\A(\s|<!--.*?-->|<\?.*?\?>)+", b"", text, flags=re.DOTALL).lower()
    if text.startswith(b"version https://git-lfs.github.com/"):
        return "a Git LFS pointer in place of the file (its repository keeps it elsewhere: fetch it with `git lfs pull`)"
    if suffix not in PAGE_SUFFIXES and (start.startswith(PAGE_TAGS) or text.lstrip().startswith((b"<!--", b"<?xml")) and b"<html" in start[:HEAD]):
        title = re.search(rb"<title[^>]*>(.*?)</title>", text, re.DOTALL | re.IGNORECASE)
        return f"a web page in place of the file ({_words(title[1]) if title else 'a login or an error page'})"
    if start.startswith((b"<error", b"<errorresponse")) or suffix not in TEXT_SUFFIXES + PAGE_SUFFIXES and text.lstrip().startswith(b"<?xml"):
        message = re.search(rb"<(?:message|code)>(.*?)</", text, re.DOTALL | re.IGNORECASE)
        return f"an error message in place of the file ({_words(message[1]) if message else 'XML'})"
    if suffix not in TEXT_SUFFIXES + PAGE_SUFFIXES and re.match(rb"\s*\{\s*[\"}]", text):
        message = re.search(rb'"(?:message|error|detail|reason|msg|errors|title)"\s*:\s*"([^"]*)"', text, re.IGNORECASE)
        return f"an error message in place of the file ({_words(message[1]) if message else 'JSON'})"
    return None


def _as_utf8(head):
    """The first bytes of a text of any encoding with a mark, as UTF-8 without it; other bytes as they are."""
    for mark, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"), (b"\xef\xbb\xbf", "utf-8")):
        if head.startswith(mark):
            return head[len(mark):].decode(encoding, "ignore").encode()
    return head


def _words(content, most=80):
    text = " ".join(content.decode(errors="replace").split())
    return "".join(letter for letter in text if letter.isprintable())[:most] or "it says nothing"


def _page(response, path):
    is_page = response.headers.get_content_type() == "text/html" and path.suffix.lower() not in PAGE_SUFFIXES
    return "sends a web page in place of the file, which " if is_page else ""


def _address(url):
    """A web address as it can be sent. Raises ValueError for anything else."""
    try:
        parts = urllib.parse.urlsplit(str(url))
        controls = any(ord(letter) < 33 or ord(letter) == 127 for letter in parts.netloc)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0 or controls:
            raise ValueError
        host = parts.netloc if parts.netloc.isascii() else parts.netloc.replace(parts.hostname, parts.hostname.encode("idna").decode())
    except ValueError:
        raise ValueError(f"{url} is not a web address: give one that starts with https://.") from None
    return urllib.parse.urlunsplit((parts.scheme, host, urllib.parse.quote(parts.path, "/%:=&?~+!$,;'@()*[]"),
        urllib.parse.quote(parts.query, "/%:=&?~+!$,;'@()*[]"), ""))


def _retry_after(error):
    """Seconds that a server asks us to wait, or None."""
    asked = (error.headers.get("Retry-After") or "").strip() if error.headers else ""
    if asked.isdigit():
        return float(asked)
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, parsedate_to_datetime(asked).timestamp() - time.time())
    return None
