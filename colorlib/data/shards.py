"""Tar shards, read from start to end with `webdataset`: what large sets are kept in on clusters and object stores."""
import io
import itertools
import json
import os
import re
import tarfile
import zlib
from functools import cached_property
from glob import escape, glob
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit
from urllib.request import url2pathname

import cv2
import numpy as np
import torch

from colorlib import files
from colorlib.data.archives import ends_well
from colorlib.data.downloads import OFFLINE, is_offline
from colorlib.data.packing import Report
from colorlib.data.sources import (CACHE_VERSION, PICTURE_SUFFIXES, check_sample, check_square, decode, resize, run_in_order, sort_out, stamp_files,
                                   to_tensor)

__all__ = ["Shards", "write_shards", "SHARD_SUFFIXES", "PLANES"]

SHARD_SUFFIXES = (".tar", ".tar.gz", ".tgz")
CUT_SHORT = "the tar ends too early or is damaged ({}): what came before is used; copy it again"
PLANES = ("nir", "mask", "saliency", "line_art")          # `key.nir.png` belongs to `key.jpg`
SCHEMES = ("http", "https", "ftps", "sftp", "scp", "gs", "hf", "ais")      # addresses that webdataset opens without a shell
MOST_SHARDS = 1_000_000                                   # that a pattern with braces may stand for


class Shards(torch.utils.data.IterableDataset):
    """Samples from tar shards, in the order of the shards. `pack` makes them map-style; iterating streams them, each
    worker and rank its share.

    shards: a folder of .tar files, one tar, a pattern (`train-{000..003}.tar`, `train-*.tar`), an address of SCHEMES
    (`https://...`), or a list of these. A tar holds WebDataset samples (`key.jpg`, `key.cls`,
    `key.txt` with the caption, `key.json`, `key.nir.png`, ...) or just pictures: the label is then the folder a picture
    lies in, numbered by sorted name (`classes`). size, crop and drop_gray as in `Pictures`. Unreadable members, and
    tars that end too early, are named in `report` of the last pass. Raises ValueError where there is no tar, and for what
    names a command; ConnectionError for an address where the network is off.

    >>> from colorlib.data import SceneSet
    >>> paths = write_shards(SceneSet(3, size=16, cache=False), "tars")
    >>> [(sample["id"], sample["nir"].shape) for sample in Shards("tars", size=8)][:1]
    [('scene/0', torch.Size([1, 8, 8]))]
    """

    def __init__(self, shards, size=None, crop="center", drop_gray=True):
        self.urls = find_shards(shards)      # {address for webdataset: name for people}
        self.cut = set()                     # names of tars without their end
        self.size, self.crop, self.drop_gray, self.report = check_square(size, crop), crop, bool(drop_gray), Report()
        first = next(iter(self.urls.values()))
        self.settings = {"kind": "Shards", "folder": os.path.dirname(first) if len(self.urls) > 1 else first,
                         "shards": [*self.urls.values()],
                         "size": self.size, "crop": crop, "drop_gray": self.drop_gray, "version": CACHE_VERSION}

    def stamp(self):
        """A hash that changes when a local tar does."""
        return stamp_files(name for url, name in self.urls.items() if url.startswith("file:"))

    @cached_property
    def classes(self):
        """Sorted names of the folders that hold pictures; None when samples bring their own label or lie in no
        folder."""
        folders = set()
        for url, name in self.urls.items():
            for member in self._member_names(url, name):
                if member.endswith(".cls"):
                    return None
                key, suffix = split_name(member)
                if "." + (suffix or "").lower() in PICTURE_SUFFIXES:
                    folders.add(PurePosixPath(key).parent.name)
        return None if "" in folders or not folders else sorted(folders)

    def _member_names(self, url, name):
        """The names inside a tar; a local one is searched without reading the pictures. A damaged tar gives the names
        before the damage."""
        local = url.startswith("file:")
        try:
            with tarfile.open(name) if local else tarfile.open(fileobj=open_url(url), mode="r|*") as tar:
                for member in tar:
                    if member.isfile():
                        yield member.name
                    tar.members = []
                if local and not ends_well(tar):
                    self.cut.add(name)
        except (tarfile.TarError, EOFError, OSError, zlib.error):
            return                                        # `stream` meets the same damage and reports it

    def stream(self, report, threads=None, share=False, each=None):
        """Decode all samples, in order; yield (number, sample) of the usable ones and fill `report` with the rest. each: of every shard only so many."""
        seen, classes = set(), self.classes
        members = self.members(self.shared_urls() if share else self.urls, report, each)
        read = lambda member: check_sample(lambda: self.read_member(member, classes), self.drop_gray)
        for number, (member, sample) in enumerate(run_in_order(read, members, threads)):
            name = member["name"]
            if name in seen:                              # two shards may use the same keys
                name = f"{Path(self.urls[member['__url__']]).name}/{name}"
            seen.add(name)
            if (good := sort_out(name, sample, report)) is not None:
                yield number, {"id": name} | good
        for name in sorted(self.cut - {name for name, _ in report.corrupt}):      # tarfile is quiet about these
            report.corrupt.append((name, CUT_SHORT.format("no end mark")))

    def __iter__(self):
        self.report = Report()
        for _, sample in self.stream(self.report, threads=1, share=True):
            yield sample

    def shared_urls(self):
        """The addresses that are this process's and this worker's."""
        from webdataset import shardlists      # imported late: it takes a second
        return [one["url"] for one in shardlists.split_by_worker(shardlists.split_by_node([{"url": url} for url in self.urls]))]

    def members(self, urls, report, each=None):
        """Undecoded samples of some shards: dicts of member suffix -> bytes, with `name`. each: of every shard only so many."""
        for url in urls:
            yield from itertools.islice(self._members_of(url, report), each)

    def _members_of(self, url, report):
        from webdataset import tariterators      # imported late: it takes a second

        def name_shard(error):      # called inside webdataset's `except`; its inner level must not go on with the damaged tar
            if not error.args or error.args[-1] != url:
                raise error
            report.corrupt.append((self.urls[url], CUT_SHORT.format(error.args[0])))
            return True

        def name_member(error):
            reason = f"the sample cannot be put together ({error.args[0]})"
            report.corrupt.append((str(error.args[0]).split(":")[0], reason))
            return True

        try:
            streams = [{"url": url, "stream": open_url(url)}]
        except OSError as error:
            streams, error.args = [], (*error.args, url)
            name_shard(error)
        files = tariterators.tar_file_expander(streams, handler=name_shard)
        for sample in tariterators.group_by_keys(files, keys=split_name, lcase=False, handler=name_member):
            suffixes = [suffix for suffix in sample if not suffix.startswith("__")]
            picture = next((s for s in suffixes if "." + s.lower() in PICTURE_SUFFIXES), None)
            yield sample | {"picture": picture, "name": f"{sample['__key__']}.{picture or suffixes[0]}"}

    def read_member(self, member, classes):
        """Decode what `members` yields."""
        if member["picture"] is None:
            raise ValueError(f"{member['name']} comes without a picture: add {member['__key__']}.jpg or .png.")
        square = lambda picture: to_tensor(resize(picture, self.size, self.crop))
        notes = json.loads(member.get("json", b"{}"))
        notes = notes if isinstance(notes, dict) else {}
        sample = {"rgb": square(decode(_named(member[member["picture"]], member["name"]), verify=False))}
        if "cls" in member or "label" in notes:
            sample["label"] = torch.tensor(int(member.get("cls", notes.get("label"))))
        elif classes is not None:
            sample["label"] = torch.tensor(classes.index(PurePosixPath(member["__key__"]).parent.name))
        sample |= {key: square(decode(_named(member[f"{key}.png"], member["name"]))[..., 0]) for key in PLANES
                   if f"{key}.png" in member}
        if "txt" in member:
            sample["caption"] = member["txt"].decode("utf-8").strip()
        return sample | {key: notes[key] for key in ("id", "caption", "captions", "caption_source") if key in notes}


def _named(data, name):
    file = io.BytesIO(data)
    file.name = name                                      # so that messages name the member
    return file


def split_name(member):
    """`folder/photo.v2.jpg` -> (`folder/photo.v2`, `jpg`); `key.nir.png` -> (`key`, `nir.png`); no suffix -> (None,
    None)."""
    key, dot, suffix = member.rpartition(".")
    if not dot or not key or key.endswith("/") or "/" in suffix or PurePosixPath(key).name.startswith("."):
        return None, None
    stem, _, plane = key.rpartition(".")
    return (stem, f"{plane}.{suffix}") if stem and plane in PLANES else (key, suffix)


def open_url(url):
    """A tar as a stream of bytes. webdataset's own opener would run what follows `pipe:` in a shell, and rewrites
    addresses by an environment variable."""
    if url.startswith("file:"):
        return open(url2pathname(urlsplit(url).path), "rb")
    from webdataset.gopen import gopen_schemes            # imported late: it takes a second
    return gopen_schemes[urlsplit(url).scheme](url, "rb")


def find_shards(shards):
    """Folder, tar, pattern, address or a list of them -> {address: readable name}, in order. Raises ValueError when
    there is none."""
    found = {}
    for item in [shards] if isinstance(shards, (str, os.PathLike)) else shards:
        text = os.path.expanduser(os.fspath(item))
        if text.startswith("pipe:"):
            raise ValueError(f"{item} names a command, and no command is run for data: copy the tars, or name their "
                             "address or folder.")
        if text.startswith("file://"):
            text = url2pathname(urlsplit(text).path)
        elif "://" in text:
            if text.partition("://")[0] not in SCHEMES:
                raise ValueError(f"{item} cannot be opened: give an address of {', '.join(SCHEMES)}, or a path.")
            if is_offline():
                raise ConnectionError(f"{item} is not on this machine, and the network is off ({' or '.join(OFFLINE)} is set): "
                                      "copy the tars here and name their folder, or unset the variable.")
            found |= {url: url for url in expand_braces(text)}
            continue
        if os.path.isdir(text):
            paths = [path for path in sorted(glob(os.path.join(escape(text), "*"))) if path.endswith(SHARD_SUFFIXES)]
        elif os.path.exists(text):
            paths = [text]
        else:
            paths = []
            for pattern in expand_braces(text):
                paths += sorted(glob(pattern)) or [pattern]
                if not os.path.exists(paths[-1]):
                    raise ValueError(f"The shard {paths[-1]} does not exist: check the path or the pattern.")
        found |= {Path(path).resolve().as_uri(): str(Path(path).resolve()) for path in paths}
    if not found:
        raise ValueError(f"{shards} holds no .tar file: check the path or the pattern.")
    return found


def expand_braces(pattern):
    """`train-{000..003}.tar` -> each name, as in a shell. Raises ValueError for braces that do not match and for more
    than MOST_SHARDS names, which are not counted out."""
    import braceexpand
    counts = [[0, 1]]                                     # of each open brace: names before the last comma, and since
    for part, first, last in re.findall(r"(\{(?:(-?\d+)\.\.(-?\d+)|[A-Za-z]\.\.[A-Za-z])(?:\.\.-?\d+)?\}|[{},])", pattern):
        if part == "{":
            counts.append([0, 1])
        elif part == ",":
            counts[-1] = [sum(counts[-1]), 1]
        elif part != "}":
            counts[-1][1] *= abs(int(last[:20]) - int(first[:20])) + 1 if first else len(braceexpand.alphabet)
        elif len(counts) > 1:
            inside = sum(counts.pop())
            counts[-1][1] *= inside
        if max(map(sum, counts)) > MOST_SHARDS or len(counts) > 20:
            raise ValueError(f"{pattern[:80]} stands for more than {MOST_SHARDS:,} shards: name a folder, or several "
                             "patterns.")
    try:
        yield from braceexpand.braceexpand(pattern)
    except braceexpand.UnbalancedBracesError:
        raise ValueError(f"{pattern}: its braces do not match.") from None


# ---------------------------------------------------------------- write

def write_shards(dataset, folder, per_shard=1000, picture_format="png"):
    """Write a dict dataset as WebDataset tars `shard-000000.tar`, ... and return their paths. `Shards(folder)` gives the
    samples back.

    picture_format: "png" keeps every value, "jpg" is five times smaller (quality 95, no chroma subsampling). Written
    whole or not at all. Raises ValueError when the folder already holds shards.

    >>> from colorlib.data import SceneSet
    >>> [path.name for path in write_shards(SceneSet(3, size=16, cache=False), "tars", per_shard=2)]
    ['shard-000000.tar', 'shard-000001.tar']
    """
    import webdataset
    folder = Path(folder).expanduser()
    if per_shard < 1 or picture_format not in ("png", "jpg"):
        raise ValueError(f"per_shard is {per_shard} and picture_format {picture_format!r}: give a number from 1 on, "
                         "and png or jpg.")
    folder.mkdir(parents=True, exist_ok=True)
    if any(name.endswith(SHARD_SUFFIXES) for name in os.listdir(folder)):
        raise ValueError(f"{folder} already holds shards: choose an empty folder.")
    paths, count = [], len(dataset)
    for first in range(0, count, per_shard):
        path = folder / f"shard-{first // per_shard:06d}.tar"
        with files.scratch_file(path) as file, webdataset.TarWriter(file, mtime=0) as writer:
            for i in range(first, min(first + per_shard, count)):
                writer.write({"__key__": f"{i:08d}"} | encode_sample(dataset[i], picture_format))
        paths.append(path)
    return paths


def encode_sample(sample, picture_format="png"):
    """A sample dict -> {member suffix: bytes}: pictures as PNG or JPEG, the label as `cls`, everything else that is
    text in `json`."""
    options = {"jpg": [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
                       cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]}
    encode = lambda picture, kind: cv2.imencode(f".{kind}", np.ascontiguousarray(picture),
                                                options.get(kind, []))[1].tobytes()
    members = {picture_format: encode(sample["rgb"].permute(1, 2, 0).numpy()[..., ::-1], picture_format)}
    members |= {f"{key}.png": encode(sample[key][0].numpy(), "png") for key in PLANES if key in sample}
    if "label" in sample:
        members["cls"] = str(int(sample["label"])).encode()
    notes = {key: sample[key] for key in ("id", "caption", "captions", "caption_source") if key in sample}
    return members | {"json": json.dumps(notes, ensure_ascii=False).encode()}
