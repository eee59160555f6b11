"""Downloads against a local server that truncates, lies, moves and refuses; archives that try to climb out."""
import hashlib
import http.server
import io
import json
import os
import stat
import tarfile
import threading
import zipfile

import pytest

from colorlib.data import downloads as module
from colorlib.data.archives import extract
from colorlib.data.downloads import download

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `server.files` {path: bytes}, with Range and If-Range; other paths misbehave by their name. Notes requests
    in `server.seen`."""

    def do_GET(self):
        asked = self.headers.get("Range")
        self.server.seen.append((self.path, asked))
        count = sum(path == self.path for path, _ in self.server.seen)
        if self.path == "/page":
            return self.answer(200, b"<!DOCTYPE html><html>Please log in</html>", {"Content-Type": "text/html"})
        if self.path == "/busy" and count < 3:
            return self.answer(503, b"later")
        if self.path == "/moved":
            return self.answer(302, b"", {"Location": "/file"})
        if self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            for _ in range(100):
                self.wfile.write(CONTENT)
            return None
        body = self.server.files.get("/file" if self.path in ("/cut", "/busy", "/stubborn", "/untagged") else self.path)
        if body is None:
            return self.answer(404, b"no such file")
        tag = hashlib.md5(body).hexdigest()
        headers = {} if self.path == "/untagged" else {"ETag": f'"{tag}"'}
        if asked and self.path != "/untagged" and self.headers.get("If-Range") == headers.get("ETag"):
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                return self.answer(416, b"")
            headers |= {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
            return self.answer(206, body[start:], headers)
        cut = self.path == "/stubborn" or self.path in ("/cut", "/untagged") and count == 1
        return self.answer(200, body, headers, 3000 if cut else None)

    def answer(self, status, body, headers=None, cut=None):
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:cut])

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name in module.OFFLINE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    one = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    one.files, one.seen = {"/file": CONTENT}, []
    one.url = f"http://127.0.0.1:{one.server_port}"
    threading.Thread(target=one.serve_forever, args=(0.02,), daemon=True).start()
    yield one
    one.shutdown()
    one.server_close()


def files(folder):
    return sorted(path.name for path in folder.iterdir())


# ---------------------------------------------------------------- download

@pytest.mark.parametrize("name", ["file", "busy", "moved"])
def test_a_file_arrives_whole(server, tmp_path, name):
    path = download(f"{server.url}/{name}", tmp_path / "new/weights.bin", sha256=SHA256.upper(), size=len(CONTENT))
    assert path.read_bytes() == CONTENT and files(path.parent) == ["weights.bin"]


def test_a_file_that_is_right_is_not_fetched_again(server, tmp_path):
    path = tmp_path / "w.bin"
    for _ in range(2):
        download(f"{server.url}/file", path, sha256=SHA256)
    assert len(server.seen) == 1
    path.write_bytes(b"spoilt")
    assert download(f"{server.url}/file", path, sha256=SHA256).read_bytes() == CONTENT


def test_a_cut_download_goes_on_where_it_stopped(server, tmp_path):
    assert download(f"{server.url}/cut", tmp_path / "w.bin", sha256=SHA256).read_bytes() == CONTENT
    assert server.seen == [("/cut", None), ("/cut", "bytes=3000-")]


def test_a_later_call_goes_on_too(server, tmp_path):
    with pytest.raises(ConnectionError, match="3,000 of 10,240 bytes"):
        download(f"{server.url}/stubborn", tmp_path / "w.bin", retries=1)
    assert not (tmp_path / "w.bin").exists() and (tmp_path / "w.bin.partial").stat().st_size == 3000
    download(f"{server.url}/file", tmp_path / "w.bin", sha256=SHA256)         # of another address, as the checksum will tell
    assert server.seen[-1] == ("/file", "bytes=3000-") and (tmp_path / "w.bin").read_bytes() == CONTENT
    assert files(tmp_path) == ["w.bin"]


def test_parts_of_two_versions_are_never_joined(server, tmp_path):
    with pytest.raises(ConnectionError):
        download(f"{server.url}/stubborn", tmp_path / "w.bin", retries=1)
    server.files["/file"] = CONTENT[::-1]
    assert download(f"{server.url}/file", tmp_path / "w.bin").read_bytes() == CONTENT[::-1]


def test_without_a_version_nothing_is_resumed(server, tmp_path):
    assert download(f"{server.url}/untagged", tmp_path / "w.bin").read_bytes() == CONTENT
    assert server.seen == [("/untagged", None)] * 2


def note(server, folder, content):
    """Leave `content` of an interrupted download in a folder."""
    (folder / "w.bin.partial").write_bytes(content)
    (folder / "w.bin.partial.version").write_text(json.dumps({"url": f"{server.url}/file", "tag": f'"{hashlib.md5(CONTENT).hexdigest()}"', "bytes": len(content),
                                                              "sha256": hashlib.sha256(content).hexdigest()}))


def test_a_finished_part_is_not_lost_in_a_circle(server, tmp_path):
    note(server, tmp_path, CONTENT)
    assert download(f"{server.url}/file", tmp_path / "w.bin", sha256=SHA256).read_bytes() == CONTENT


def test_a_spoilt_part_is_noticed_and_fetched_again(server, tmp_path):
    note(server, tmp_path, b"x" * 3000)                                       # the server sends the rest, and the sum is wrong
    assert download(f"{server.url}/file", tmp_path / "w.bin", sha256=SHA256).read_bytes() == CONTENT
    assert [asked for _, asked in server.seen] == ["bytes=3000-", None]


@pytest.mark.parametrize("name, options, message", [
    ("file", {"sha256": "0" * 64}, "its sha256 is .* instead of 000000000000"),
    ("file", {"size": 5}, "10,240 bytes instead of 5"),
    ("page", {}, "web page in place of the file"), ("page", {"size": 5}, "web page in place of the file"),
    ("file", {"max_bytes": 100}, "more than max_bytes=100"),
    ("endless", {"max_bytes": 20_000}, "more than max_bytes=20,000")])
def test_a_wrong_file_is_refused(server, tmp_path, name, options, message):
    with pytest.raises(ValueError, match=message) as error:
        download(f"{server.url}/{name}", tmp_path / "weights.bin", **options)
    assert "weights.bin" in str(error.value) and not (tmp_path / "weights.bin").exists()
    assert len(server.seen) == 1                                              # asking again would be no use


def test_pages_may_be_downloaded_as_pages(server, tmp_path):
    assert b"log in" in download(f"{server.url}/page", tmp_path / "login.html").read_bytes()


def test_a_wrong_file_leaves_the_old_one(server, tmp_path):
    (tmp_path / "w.bin").write_bytes(b"old")
    with pytest.raises(ValueError):
        download(f"{server.url}/file", tmp_path / "w.bin", sha256="0" * 64)
    assert (tmp_path / "w.bin").read_bytes() == b"old" and files(tmp_path) == ["w.bin"]


def test_mirrors_are_tried_in_order(server, tmp_path):
    mirrors = [f"{server.url}/page", f"{server.url}/file"]
    assert download(f"{server.url}/gone", tmp_path / "w.bin", mirrors=mirrors).read_bytes() == CONTENT
    assert [path for path, _ in server.seen] == ["/gone", "/page", "/file"]


def test_what_is_gone_is_not_asked_for_twice(server, tmp_path):
    with pytest.raises(ConnectionError, match="answers 404 .*put the file at .*w.bin yourself"):
        download(f"{server.url}/gone", tmp_path / "w.bin")
    assert len(server.seen) == 1


def test_without_a_network_there_is_one_clear_sentence(server, tmp_path):
    server.shutdown()
    server.server_close()
    with pytest.raises(ConnectionError, match=r"w.bin could not be fetched: 127.0.0.1:\d+ cannot .* Check the network"):
        download(f"{server.url}/file", tmp_path / "w.bin")
    assert files(tmp_path) == []


@pytest.mark.parametrize("url, options, message", [
    ("file:///etc/hosts", {}, "not a web address"), ("weights.bin", {}, "not a web address"),
    ("http://a", {"sha256": "12"}, "64 hex digits"), ("http://a", {"size": 10, "max_bytes": 5}, "raise max_bytes"),
    ("http://a", {"mirrors": ["ftp://b"]}, "ftp://b is not a web address")])
def test_bad_arguments_are_refused(tmp_path, url, options, message):
    with pytest.raises(ValueError, match=message):
        download(url, tmp_path / "w.bin", **options)


# ---------------------------------------------------------------- extract

def make_tar(path, members, mode="w:gz"):
    """members: {name: bytes or a tarfile type such as SYMTYPE}."""
    with tarfile.open(path, mode) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            if len(data) == 1 and data in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE):
                info.type, info.linkname = data, "/etc/passwd" if data == tarfile.SYMTYPE else "a.txt"
                data = b""
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def make_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("make, name", [(make_tar, "a.tar.gz"), (make_zip, "a.zip")])
def test_archives_are_unpacked(tmp_path, make, name):
    archive = make(tmp_path / name, {"set/a.txt": b"one", "set/b/c.txt": b"two"})
    folder = extract(archive, tmp_path / "out/deep")
    assert (folder / "set/a.txt").read_bytes() == b"one" and (folder / "set/b/c.txt").read_bytes() == b"two"
    (folder / "mine.txt").write_text("kept")
    extract(archive, folder)
    assert (folder / "mine.txt").read_text() == "kept" and files(folder.parent) == ["deep"]


@pytest.mark.parametrize("name", ["../evil.txt", "/tmp/evil.txt", "a/../../evil.txt", "..\\evil.txt", "C:\\evil.txt",
                                  "C:evil.txt", "\\evil.txt"])
@pytest.mark.parametrize("make, suffix", [(make_tar, ".tar.gz"), (make_zip, ".zip")])
def test_members_that_climb_out_are_refused(tmp_path, make, suffix, name):
    archive = make(tmp_path / f"bad{suffix}", {"a.txt": b"fine", name: b"evil"})
    with pytest.raises(ValueError, match=f"bad{suffix} is refused: its member .*evil.txt.* climbs out"):
        extract(archive, tmp_path / "out")
    assert files(tmp_path) == [f"bad{suffix}"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    archive = make_tar(tmp_path / "bad.tar.gz", {"a.txt": b"fine", "b": kind})
    with pytest.raises(ValueError, match="'b' is a link or a device"):
        extract(archive, tmp_path / "out")
    assert files(tmp_path) == ["bad.tar.gz"]


def test_links_in_a_zip_are_refused(tmp_path):
    link = zipfile.ZipInfo("b")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ValueError, match="'b' is a link or a device"):
        extract(tmp_path / "bad.zip", tmp_path / "out")


@pytest.mark.parametrize("make, name", [(make_tar, "a.tar.gz"), (make_zip, "a.zip")])
def test_damaged_and_huge_archives_are_refused(tmp_path, make, name):
    archive = make(tmp_path / name, {f"{i}.bin": os.urandom(5000) for i in range(10)})
    with pytest.raises(ValueError, match="more than max_bytes=40,000 bytes"):
        extract(archive, tmp_path / "out", max_bytes=40_000)
    content = archive.read_bytes()
    for damaged in (content[:20_000], content[:1000] + b"x" * 100 + content[1100:], b"nothing", b""):
        archive.write_bytes(damaged)
        with pytest.raises(ValueError, match=f"{name} is damaged"):
            extract(archive, tmp_path / "out")
    archive = make_tar(tmp_path / name, {"a": b"one", "b": b"two"}, "w")
    archive.write_bytes(archive.read_bytes()[:1024])                          # cut exactly between two members
    with pytest.raises(ValueError, match=f"{name} is damaged .*too early"):
        extract(archive, tmp_path / "out")
    assert files(tmp_path) == [name]
    with pytest.raises(ValueError, match="not a file"):
        extract(tmp_path / "gone.zip", tmp_path / "out")
