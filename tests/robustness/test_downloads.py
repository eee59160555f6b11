"""A server on loopback that misbehaves in each way, and archives that do: a whole file or one sentence, nothing half, nothing lost, no call to the
network unless asked."""
import contextlib
import gzip
import hashlib
import http.server
import io
import multiprocessing
import os
import socket
import tarfile
import threading
import zipfile
import zlib

import pytest
import torch

from colorlib import classifiers, vgg
from colorlib.metrics import learned_metrics
from colorlib.data import downloads, public_sets
from colorlib.data.archives import extract
from colorlib.data.downloads import download
from colorlib.data.shards import find_shards
from colorlib.papers import color2embed, koalarization, language
from colorlib.saliency.saliency_methods import download_network

CONTENT = bytes(range(256)) * 400                 # 102,400 bytes
SHA256, TAG = hashlib.sha256(CONTENT).hexdigest(), '"v1"'
CUTS = (0, 1, 4095, 4096, 25_600, 51_200, 76_800, 102_399)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):                   # who asks goes away as it likes
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with `server.behave(handler, number of the request)`."""

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Range")))
        self.server.behave(self, len(self.server.asked))

    def answer(self, status=200, body=b"", cut=None, length=True, **headers):
        self.send_response_only(status)
        for name, value in (({"Content-Length": len(body)} if length else {}) | headers).items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body[:cut])
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name in downloads.OFFLINE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(downloads.time, "sleep", lambda seconds: one.slept.append(seconds))
    one = Server(("127.0.0.1", 0), Handler)
    one.asked, one.slept, one.url = [], [], f"http://127.0.0.1:{one.server_port}"
    threading.Thread(target=one.serve_forever, args=(0.01,), daemon=True).start()
    yield one
    one.shutdown()
    one.server_close()


def serve(handler, _=None, tag=TAG, content=CONTENT):
    """As a server should, with Range and If-Range."""
    asked = handler.headers.get("Range")
    if asked and handler.headers.get("If-Range") == tag:
        start = int(asked.removeprefix("bytes=").rstrip("-"))
        if start >= len(content):
            return handler.answer(416)
        return handler.answer(206, content[start:], ETag=tag, Content_Range=f"bytes {start}-{len(content) - 1}/{len(content)}")
    return handler.answer(200, content, ETag=tag)


def then(first, rest=serve, count=1):
    """Behave as `first` for so many requests, then as `rest`."""
    return lambda handler, number: (first if number <= count else rest)(handler, number)


def left(folder):
    return sorted(path.name for path in folder.iterdir())


# ---------------------------------------------------------------- in the end a whole file

def cut_at(place):
    return lambda handler, _: handler.answer(200, CONTENT, place, ETag=TAG)


def part(start, total=len(CONTENT), tag=TAG, end=None):
    """206 with the bytes from `start`, whatever was asked for."""
    return lambda handler, _: handler.answer(206, CONTENT[start:end], ETag=tag, Content_Range=f"bytes {start}-{(end or len(CONTENT)) - 1}/{total}")


def chunked(handler, _=None, end=True):
    handler.protocol_version = "HTTP/1.1"
    handler.answer(200, length=False, Transfer_Encoding="chunked")
    for start in range(0, len(CONTENT), 5000):
        piece = CONTENT[start:start + 5000]
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
    handler.wfile.write(b"0\r\n\r\n" if end else b"")


def reset(handler, _=None):
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    handler.connection.close()


def stall(handler, _=None):
    handler.answer(200, CONTENT, 30_000, ETag=TAG)
    handler.wfile.flush()
    threading.Event().wait(1.5)


def drip_headers(handler, _=None):
    with contextlib.suppress(OSError):
        for _ in range(100):
            handler.wfile.write(b"H")
            threading.Event().wait(0.05)


MENDED = {
    **{f"cut at {place}": then(cut_at(place)) for place in CUTS},
    "cut three times": then(cut_at(30_000), then(lambda handler,
        _: handler.answer(206, CONTENT[30_000:], 10_000, ETag=TAG, Content_Range=f"bytes 30000-102399/{len(CONTENT)}"),
                                                  count=2)),
    "ignores Range": then(cut_at(5000), lambda handler, _: handler.answer(200, CONTENT, ETag=TAG)),
    "206 from another place": then(cut_at(5000), then(part(50_000), count=2)),
    "206 from the start": then(cut_at(5000), then(part(0), count=2)),
    "206 of another version": then(cut_at(5000), then(part(5000, tag='"v2"'), count=2)),
    "206 without a range": then(cut_at(5000), then(lambda handler, _: handler.answer(206, CONTENT[5000:], ETag=TAG), count=2)),
    "206 unasked": then(part(50_000)),
    "206 with less than the rest": then(cut_at(5000), then(part(5000, end=9000), count=2)),
    "416": then(cut_at(5000), then(lambda handler, _: handler.answer(416), count=2)),
    "a new version": then(lambda handler, _: handler.answer(200, CONTENT[::-1], 9000, ETag='"v0"')),
    "weak tag": then(lambda handler, _: handler.answer(200, CONTENT, 9000, ETag='W/"v1"')),
    "no tag": then(lambda handler, _: handler.answer(200, CONTENT, 9000)),
    "no length": lambda handler, _: handler.answer(200, CONTENT, length=False),
    "chunks": chunked, "chunks without an end": then(lambda handler, _: chunked(handler, end=False)),
    "reset": then(reset, count=2), "says nothing": then(lambda handler, _: None), "stalls": then(stall),
    "drips headers": then(drip_headers), "speaks something else": then(lambda handler, _: handler.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n"), count=2),
    **{str(status): then(lambda handler, _, status=status: handler.answer(status, b"later")) for status in (408, 425, 429, 500, 502, 503, 504)},
    "503 with a pause": then(lambda handler, _: handler.answer(503, Retry_After=7)),
    "gzip unasked": lambda handler, _: handler.answer(200, gzip.compress(CONTENT), Content_Encoding="gzip"),
    "gzip in two parts": lambda handler, _: handler.answer(200, gzip.compress(CONTENT[:5]) + gzip.compress(CONTENT[5:]), Content_Encoding="gzip"),
    "gzip cut": then(lambda handler, _: handler.answer(200, gzip.compress(CONTENT)[:-20], Content_Encoding="gzip"),
                     lambda handler, _: handler.answer(200, gzip.compress(CONTENT), Content_Encoding="gzip")),
    "deflate unasked": lambda handler, _: handler.answer(200, zlib.compress(CONTENT), Content_Encoding="deflate"),
    **{f"moved, {status}": then(lambda handler, _, status=status: handler.answer(status, Location="/elsewhere")) for status in (301, 302, 303, 307, 308)},
}


@pytest.mark.parametrize("way", MENDED)
def test_a_whole_file_in_the_end(server, tmp_path, way, tally):
    """Without a checksum or a size: the file is whole all the same."""
    server.behave = MENDED[way]
    assert download(f"{server.url}/w.bin", tmp_path / "w.bin", timeout=0.3, progress=False).read_bytes() == CONTENT
    assert left(tmp_path) == ["w.bin"] and (way != "503 with a pause" or 7 in server.slept)
    tally(inputs=1)


@pytest.mark.parametrize("place", CUTS)
def test_a_later_process_goes_on_only_with_what_it_finds_unharmed(server, tmp_path, place, tally):
    for spoil in (lambda path: None, lambda path: path.write_bytes(path.read_bytes() + b"torn"), lambda path: path.write_bytes(bytes(len(path.read_bytes()))),
                  lambda path: path.write_bytes(path.read_bytes()[:-1])):
        server.behave, path = cut_at(place), tmp_path / "w.bin"
        with pytest.raises(ConnectionError):
            download(f"{server.url}/w.bin", path, retries=1, progress=False)
        if (partial := tmp_path / "w.bin.partial").exists():
            spoil(partial)
        server.behave = serve
        assert download(f"{server.url}/w.bin", path, progress=False).read_bytes() == CONTENT and left(tmp_path) == ["w.bin"]
        path.unlink()
        tally(inputs=1)


# ---------------------------------------------------------------- in the end a sentence

HTML = b"<html><head><title>Google Drive - Virus scan warning</title></head><body>too large to scan</body></html>"
PAGES = {
    "page": (HTML, "a web page in place of the file .Google Drive - Virus scan warning"), "BOM": (b"\xef\xbb\xbf" + HTML, "a web page"),
    "UTF-16": (b"\xff\xfe" + HTML.decode().encode("utf-16-le"), "a web page"), "white space": (b"\n\t \r\n" + HTML, "a web page"),
    "comment": (b"<!-- saved --> <!-- twice -->\n<!DOCTYPE HTML>" + HTML, "a web page"), "xhtml": (b'<?xml version="1.0"?>\n' + HTML, "a web page"),
    "fragment": (b"<script>location='/login'</script>", "a web page"),
    "store": (b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>', "error message.*Access"),
    "store without a head": (b"<Error><Code>NoSuchKey</Code></Error>", "NoSuchKey"),
    "json": (b'{"error": {"code": 404, "message": "Not Found"}}', "error message.*Not Found"),
    "json list": (b'{\n "detail": "Rate limit"}', "Rate limit"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 5\n", "Git LFS pointer"), "empty": (b"", "it has no bytes"),
}


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth", "set.tar.gz", "noending"])
@pytest.mark.parametrize("page", PAGES)
def test_a_page_in_place_of_a_file(server, tmp_path, page, name, tally):
    body, message = PAGES[page]
    server.behave = lambda handler, _: handler.answer(200, body, Content_Type="application/octet-stream")
    with pytest.raises(ValueError, match=f"{name} could not be fetched: .*{message}"):
        download(f"{server.url}/{name}", tmp_path / name, progress=False)
    assert left(tmp_path) == [] and len(server.asked) == 1
    tally(inputs=1, sentences=1)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_that_was_saved_as_the_file_is_fetched_again(server, tmp_path, page, tally):
    server.behave = serve
    (tmp_path / "w.bin").write_bytes(PAGES[page][0])
    assert download(f"{server.url}/w.bin", tmp_path / "w.bin", progress=False).read_bytes() == CONTENT
    tally(inputs=1)


def more_than_told(handler, _=None):
    handler.answer(200, CONTENT, length=False, Content_Length=100)


BOMB = gzip.compress(bytes(10**7))


def to(where):
    return lambda handler, _: handler.answer(302, Location=where)


REFUSED = {
    "sends more than it tells": (more_than_told, {}, ValueError, "sends more bytes than it announces"),
    "tells more than it sends": (lambda handler, _: handler.answer(200, CONTENT, length=False, Content_Length=10**6), {}, ConnectionError,
        "cut after 102,400 of 1,000,000"),
    "wrong size": (serve, {"size": 5}, ValueError, "102,400 bytes instead of 5"), "wrong sum": (serve, {"sha256": "0" * 64}, ValueError, "its sha256 is"),
    "too large": (serve, {"max_bytes": 1000}, ValueError, "more than max_bytes=1,000"),
    "too large in chunks": (chunked, {"max_bytes": 50_000}, ValueError, "more than max_bytes=50,000"),
    "bomb": (lambda handler, _: handler.answer(200, BOMB, Content_Encoding="gzip"), {"max_bytes": 10**6}, ValueError, "more than max_bytes"),
    "no gzip": (lambda handler, _: handler.answer(200, CONTENT, Content_Encoding="gzip"), {}, ValueError, "it says is gzip and is not"),
    "brotli": (lambda handler, _: handler.answer(200, CONTENT, Content_Encoding="br"), {}, ValueError, "compressed .br."),
    "to a local file": (to("file:///etc/passwd"), {}, ValueError, "leads to file:///etc/passwd"),
    "to FTP": (to("ftp://127.0.0.1/w.bin"), {}, ValueError, "leads to ftp"),
    "to data": (to("data:text/plain,hello"), {}, ValueError, "leads to data"), "in a circle": (to("/w.bin"), {}, ConnectionError, "answers 302"),
    "to a closed port": (to("http://127.0.0.1:1/"), {"retries": 1}, ConnectionError, "cannot be reached"),
    "to nowhere": (to("http:///x"), {"retries": 1}, (OSError, ValueError), "w.bin could not"),
    **{str(status): (lambda handler, _, status=status: handler.answer(status), {}, ConnectionError, f"answers {status}") for status in (400, 401, 403, 404,
        410, 429, 451, 500, 503)},
    "a long pause": (lambda handler, _: handler.answer(429, Retry_After=86400), {}, ConnectionError, "asks for a pause of 86400 s"),
    "a pause until a date": (lambda handler, _: handler.answer(503, Retry_After="Fri, 01 Jan 2100 00:00:00 GMT"), {}, ConnectionError, "asks for a pause"),
    "stalls for ever": (stall, {"retries": 1}, ConnectionError, "stopped answering"),
    "drips headers for ever": (drip_headers, {"retries": 1}, ConnectionError, "no answer within"),
    "resets for ever": (reset, {}, ConnectionError, "cannot be reached"),
    "no HTTP": (lambda handler, _: handler.wfile.write(b"\x1b[2J\x9b" * 9000 + b"\r\n\r\n"), {}, ConnectionError, r"\\x1b\[2J"),
    "a reason that steers": (lambda handler, _: handler.wfile.write(b"HTTP/1.0 404 \x1b[2J" + b"x" * 9000 + b"\r\n\r\n"), {}, ConnectionError, "answers 404"),
    "to what steers": (to("gopher:\x1b[2J"), {}, ValueError, "leads to gopher"),
    **{f"to {where[:20]}": (to(where), {}, ValueError, "leads to no web address") for where in ("http://[/", f"http://{'a' * 70}/")},
    "chunks, cut, without a tag": (lambda handler, _: chunked(handler, end=False), {}, ConnectionError, "stopped answering"),
}


@pytest.mark.parametrize("way", REFUSED)
def test_a_sentence_in_the_end(server, tmp_path, way, tally):
    behave, options, kind, message = REFUSED[way]
    server.behave = behave
    with pytest.raises(kind, match=message) as error:
        download(f"{server.url}/w.bin", tmp_path / "w.bin", timeout=0.3, progress=False, **options)
    assert str(error.value).startswith("w.bin could not be fetched: ") and str(error.value).isprintable() and len(str(error.value)) < 600
    assert set(left(tmp_path)) <= {"w.bin.partial", "w.bin.partial.version"} and len(left(tmp_path)) != 1      # what can go on, or nothing
    tally(inputs=1, sentences=1)


def test_a_byte_now_and_then_is_a_stop(server, tmp_path, monkeypatch, tally):
    def drip(handler, _):
        handler.answer(200, length=False, Content_Length=len(CONTENT))
        with contextlib.suppress(OSError):
            for byte in CONTENT[:100]:
                handler.wfile.write(bytes([byte]))
                threading.Event().wait(0.02)
    monkeypatch.setattr(downloads, "PATIENCE", 0.2)
    server.behave = drip
    with pytest.raises(ConnectionError, match="less than 1,024 bytes a second"):
        download(f"{server.url}/w.bin", tmp_path / "w.bin", retries=1, progress=False)
    tally(inputs=1, sentences=1)


def test_no_tls_where_tls_is_asked_for(server, tmp_path, tally):
    server.behave = serve
    with pytest.raises(ConnectionError, match="w.bin could not be fetched: 127.0.0.1:.* TLS|cannot be reached"):
        download(f"https://127.0.0.1:{server.server_port}/w.bin", tmp_path / "w.bin", retries=1, timeout=1, progress=False)
    tally(inputs=1, sentences=1)


def test_mirrors_in_order_after_all_kinds_of_bad_ones(server, tmp_path, tally):
    ways = {"/gone": lambda handler, _: handler.answer(404), "/page": lambda handler, _: handler.answer(200, HTML), "/cut": cut_at(5000),
            "/other": lambda handler, _: handler.answer(200, CONTENT[::-1]), "/loop": to("/loop"), "/file": to("file:///etc/passwd"), "/reset": reset,
            "/good": serve, "/never": serve}
    server.behave = lambda handler, number: ways[handler.path](handler, number)
    path = download(f"{server.url}/gone", tmp_path / "w.bin", sha256=SHA256, mirrors=[server.url + name for name in list(ways)[1:]], retries=1, timeout=0.5,
        progress=False)
    order = list(dict.fromkeys(name for name, _ in server.asked))
    assert path.read_bytes() == CONTENT and order == list(ways)[:-1] and left(tmp_path) == ["w.bin"]
    tally(inputs=len(ways))


@pytest.mark.parametrize("url", ["", "w.bin", "http://", "http://:80/x", "http://a:99999/x", "http://a:x/", "javascript:alert(1)", "https://[::1",
    "http://\u212b\u0000/x"])
def test_bad_addresses(tmp_path, url, tally):
    with pytest.raises(ValueError, match="not a web address"):
        download(url, tmp_path / "w.bin")
    tally(inputs=1, sentences=1)


def test_an_address_with_spaces_and_letters_of_all_kinds(server, tmp_path, tally):
    server.behave = serve
    assert download(f"{server.url}/ein Bild/größe.bin?x=1 2", tmp_path / "w.bin", progress=False).read_bytes() == CONTENT
    assert server.asked[0][0] == "/ein%20Bild/gr%C3%B6%C3%9Fe.bin?x=1%202"
    tally(inputs=1)


@pytest.mark.skipif(os.name != "posix", reason="needs limits of a process")
def test_a_full_disk_is_no_matter_of_the_network_and_what_came_is_kept(server, tmp_path, tally):
    import resource
    server.behave = serve
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))
    try:
        with pytest.raises(OSError, match="w.bin cannot be written .*free some space"):
            download(f"{server.url}/w.bin", tmp_path / "w.bin", progress=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(server.asked) == 1 and "w.bin" not in left(tmp_path)
    partial = (tmp_path / "w.bin.partial").stat().st_size
    assert download(f"{server.url}/w.bin", tmp_path / "w.bin", progress=False).read_bytes() == CONTENT and left(tmp_path) == ["w.bin"]
    assert server.asked[-1] == ("/w.bin", f"bytes={partial}-") and partial == 40_000
    with pytest.raises(OSError, match="is a folder"):
        download(f"{server.url}/w.bin", tmp_path)
    with pytest.raises(OSError, match="is needed|no folder"):
        download(f"{server.url}/w.bin", tmp_path / "w.bin" / "w.bin", progress=False)
    tally(inputs=3, sentences=3)


def fetch(arguments):
    url, path, sha256 = arguments
    return download(url, path, sha256=sha256, progress=False).read_bytes() == CONTENT


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starting processes takes long without fork")
def test_several_processes_fetch_one_file_at_once(server, tmp_path, tally):
    def slow(handler, number):
        handler.answer(200, CONTENT, 50_000, ETag=TAG)
        handler.wfile.flush()
        threading.Event().wait(0.1)
        handler.wfile.write(CONTENT[50_000:])
    server.behave = slow
    with multiprocessing.get_context("fork").Pool(4) as pool:
        assert all(pool.map(fetch, [(f"{server.url}/w.bin", tmp_path / "w.bin", SHA256)] * 8))
    assert len(server.asked) == 1 and left(tmp_path) == ["w.bin"]
    tally(inputs=8)


# ---------------------------------------------------------------- archives

def tar_of(path, *members, mode="w:gz"):
    """members: (TarInfo or name, bytes)."""
    with tarfile.open(path, mode) as tar:
        for info, data in members:
            info = tarfile.TarInfo(info) if isinstance(info, str) else info
            info.size = info.size or len(data)
            tar.addfile(info, io.BytesIO(data)) if info.isreg() else tar.addfile(info)
    return path


def zip_of(path, *members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def special(kind, name="b", target="/etc/passwd"):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def encrypted(path):
    content = bytearray(zip_of(path, ("a.txt", b"secret")).read_bytes())
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    return path


def sized(name, size, data):
    info = tarfile.TarInfo(name)
    info.pax_headers = {"size": str(size)}
    return info, data


BAD_NAMES = ("../evil", "a/../../evil", "/evil", "..\\evil", "C:\\evil", "\\\\server\\evil", "..", "a/..", "//evil")
ODD_NAMES = {"newline": "a\nb", "escape": "a\x1b[2Jb", "long": "x" * 300, "deep": "d/" * 600 + "x"}
TWICE = {"twice": ("a.txt", "a.txt"), "capitals": ("A.txt", "a.txt"), "folder's capitals": ("A/x", "a/y"), "accents": ("\u00e9.txt", "e\u0301.txt"),
    "file and folder": ("a", "a/b")}
ARCHIVES = {
    **{f"tar {name!r}": (lambda path, name=name: tar_of(path, ("ok", b"1"), (name, b"2")), "climbs out") for name in BAD_NAMES},
    **{f"zip {name!r}": (lambda path, name=name: zip_of(path, ("ok", b"1"), (name, b"2")), "climbs out") for name in BAD_NAMES},
    **{f"tar, {what}": (lambda path, name=name: tar_of(path, (name, b"2")), "control characters|too long") for what, name in ODD_NAMES.items()},
    **{f"zip, {what}": (lambda path, name=name: zip_of(path, (name, b"2")), "control characters|too long") for what, name in ODD_NAMES.items()},
    **{f"tar, {what}": (lambda path, names=names: tar_of(path, *((name, b"2") for name in names)), "name of another") for what, names in TWICE.items()},
    **{f"zip, {what}": (lambda path, names=names: zip_of(path, *((name, b"2") for name in names)), "name of another") for what,
        names in TWICE.items() if what != "twice"},
    **{f"a file {name!r}": (lambda path, name=name: tar_of(path, (name, b"1")), "has no name") for name in ("", ".", "./.")},
    "zero byte": (lambda path: path.write_bytes(zip_of(path, ("aXb", b"1")).read_bytes().replace(b"aXb", b"a\0b")), "control characters"),
    **{f"tar, kind {kind!r}": (lambda path, kind=kind: tar_of(path, ("ok", b"1"), special(kind)), "link or a device")
       for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)},
    "link within": (lambda path: tar_of(path, special(tarfile.SYMTYPE, "b", "ok"), ("b/evil", b"1")), "link or a device"),
    "zip bomb": (lambda path: zip_of(path, ("zeros", bytes(10**7))), "more than max_bytes"),
    "tar bomb": (lambda path: tar_of(path, ("zeros", bytes(10**7))), "more than max_bytes"),
    "many small ones": (lambda path: tar_of(path, *((f"{i}", bytes(10_000)) for i in range(200))), "more than max_bytes"),
    "size larger than the file": (lambda path: tar_of(path, sized("a", 500_000, b"short")), "damaged"),
    "size smaller than the file": (lambda path: tar_of(path, sized("a", 10, bytes(range(256)) * 20), ("b", b"1")), "damaged"),
    "a name of megabytes": (lambda path: tar_of(path, (special(tarfile.REGTYPE, "n" * (2 << 20))[0], b"")), "damaged"),
    "encrypted": (encrypted, "encrypted"), "page": (lambda path: path.write_bytes(HTML), "damaged"), "empty": (lambda path: path.write_bytes(b""), "damaged"),
    "cut": (lambda path: path.write_bytes(tar_of(path, ("a", os.urandom(9000))).read_bytes()[:5000]), "damaged"),
}


@pytest.mark.parametrize("way", ARCHIVES)
def test_bad_archives(tmp_path, way, tally):
    """Refused before anything is in the folder, and a folder that was there is as it was."""
    make, message = ARCHIVES[way]
    archive, folder = tmp_path / "bad.archive", tmp_path / "out"
    make(archive)
    folder.mkdir()
    (folder / "mine").write_text("kept")
    with pytest.raises(ValueError, match=message) as error:
        extract(archive, folder, max_bytes=1_000_000)
    assert str(archive) in str(error.value) and "\n" not in str(error.value) and left(tmp_path) == ["bad.archive", "out"] and left(folder) == ["mine"]
    tally(inputs=1, sentences=1)


def test_bombs_are_refused_without_a_limit_given(tmp_path, monkeypatch, tally):
    monkeypatch.setattr("colorlib.data.archives.LOW_BYTES", 1 << 20)
    with pytest.raises(ValueError, match="unpacks to more than"):
        extract(zip_of(tmp_path / "bomb.zip", ("zeros", bytes(20 << 20))), tmp_path / "out")
    tally(inputs=1, sentences=1)


@pytest.mark.parametrize("make", [tar_of, zip_of])
def test_links_in_the_folder_and_things_in_the_way(tmp_path, make, tally):
    archive, folder, elsewhere = make(tmp_path / "a.archive", ("set/a.txt", b"new"),
        ("set/inner.zip", zip_of(tmp_path / "i.zip", ("../evil", b"1")).read_bytes())), tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder.mkdir()
    (folder / "set").symlink_to(elsewhere)
    with pytest.raises(ValueError, match="is a link, through which"):
        extract(archive, folder)
    (folder / "set").unlink()
    (folder / "set").write_text("a file")
    with pytest.raises(ValueError, match="is in the way"):
        extract(archive, folder)
    assert (folder / "set").read_text() == "a file" and left(elsewhere) == []
    (folder / "set").unlink()
    assert left(extract(archive, folder) / "set") == ["a.txt", "inner.zip"]               # archives within stay archives
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="is a file"):
        extract(archive, tmp_path / "file")
    tally(inputs=4, sentences=3)


@pytest.mark.skipif(os.name != "posix", reason="needs limits of a process")
def test_a_full_disk_leaves_nothing_of_an_archive(tmp_path, tally):
    import resource
    archive, before = tar_of(tmp_path / "a.tar.gz", ("a", os.urandom(50_000))), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(OSError, match="out cannot be written .*free some space"):
            extract(archive, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert left(tmp_path) == ["a.tar.gz"]
    tally(inputs=1, sentences=1)


# ---------------------------------------------------------------- offline

@pytest.fixture
def no_socket(monkeypatch, tmp_path):
    """Whoever asks for an address or a connection fails the test."""
    def refuse(*arguments, **_):
        pytest.fail(f"the network was asked: {arguments}")
    for name in ("getaddrinfo", "create_connection", "gethostbyname"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    for name in ("COLORLIB_CACHE", "TORCH_HOME", "HF_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for name in ("COLORLIB_INCEPTION", "COLORLIB_CLASSIFIER", *downloads.OFFLINE):
        monkeypatch.delenv(name, raising=False)
    for cached in (learned_metrics._lpips_network, learned_metrics._inception, learned_metrics._legacy_inception):
        cached.cache_clear()


PICTURES = torch.zeros(2, 40, 40, 3, dtype=torch.uint8).numpy()
ASKING = {
    "download": lambda folder: download("https://example.org/w.bin", folder / "w.bin"),
    "shards": lambda _: find_shards("https://example.org/{0..3}.tar"), "saliency": lambda folder: download_network("u2netp", folder),
    **{name: lambda folder, name=name: public_sets.torchvision_set(name, folder, "train", 32, download=True) for name in ("Imagenette", "Places365",
        "Flowers102", "STL10")},
    "classifier": lambda _: classifiers.load_classifier("squeezenet1_1"), "features": lambda _: classifiers.Features(),
    "vgg16": lambda _: vgg.load_imagenet(vgg.VGG16()),
    "vgg19": lambda _: color2embed.load_vgg19(), "resnet": lambda _: language.open_backbone(language.VARIANTS["film_released"]["paper"], True),
    "inception": lambda _: koalarization.InceptionEmbedding(), "lpips": lambda _: learned_metrics.lpips(PICTURES, PICTURES),
    "fid": lambda _: learned_metrics.fid(PICTURES, PICTURES),
    "kid": lambda _: learned_metrics.kid(PICTURES, PICTURES), "legacy": lambda _: learned_metrics.legacy_inception(),
}


@pytest.mark.parametrize("variable", downloads.OFFLINE)
@pytest.mark.parametrize("what", ASKING)
def test_offline_asks_nobody(no_socket, monkeypatch, tmp_path, what, variable, tally):
    monkeypatch.setenv(variable, "1")
    with pytest.raises(OSError, match="(?i)network is off|cannot be downloaded or read|no such file") as error:
        ASKING[what](tmp_path)
    assert "\n" not in str(error.value) and any(word in str(error.value) for word in ("put it there", "copy that file", "copy its folder", "copy the tars",
        "COLORLIB_INCEPTION"))
    tally(inputs=1, sentences=1)


def test_offline_uses_what_is_there(no_socket, monkeypatch, tmp_path):
    monkeypatch.setenv("COLORLIB_OFFLINE", "1")
    (tmp_path / "w.bin").write_bytes(CONTENT)
    assert download("https://example.org/w.bin", tmp_path / "w.bin", sha256=SHA256).read_bytes() == CONTENT
    monkeypatch.setenv("COLORLIB_OFFLINE", "0")
    assert not downloads.is_offline()
