"""Weights that come with other libraries: torchvision's networks and torch-fidelity's Inception.

They are fetched by `downloads.download` into torch's own cache, compared each time with the sum in their name, and read
without running code.
"""
import re
import urllib.parse
from pathlib import Path

import torch

from colorlib.data.downloads import download, find_fault

__all__ = ["torchvision_network", "fetch", "read", "cached", "sum_of"]


def cached(url):
    """Where torch keeps the file of a web address: the place to put it by hand.

    >>> cached("https://example.org/models/vgg16-397923af.pth").name
    'vgg16-397923af.pth'
    """
    return Path(torch.hub.get_dir(), "checkpoints", Path(urllib.parse.urlsplit(url).path).name)


def sum_of(path):
    """The first digits of a file's sha256, which torch's files have in their names; None for others.

    >>> sum_of("vgg16-397923af.pth"), sum_of("mine.pth")
    ('397923af', None)
    """
    found = re.search(r"-([0-9a-f]{8,64})\.\w+$", Path(path).name)
    return found[1] if found else None


def fetch(url):
    """The file of a web address in torch's cache, whole and without code. Raises ConnectionError where it is not there, or
    damaged, and cannot be fetched.

    >>> from unittest import mock
    >>> with mock.patch.object(torch.hub, "get_dir", lambda: "."):
    ...     cached("https://example.org/mine.pth").parent.mkdir()
    ...     torch.save({"weight": torch.ones(1)}, "checkpoints/mine.pth")
    ...     fetch("https://example.org/mine.pth").as_posix()      # there already: nobody is asked
    'checkpoints/mine.pth'
    """
    path = cached(url)
    try:
        download(url, path, sha256=sum_of(path))
    except (OSError, ValueError) as error:
        raise ConnectionError(str(error).partition(" Check the network")[0].rstrip(".")) from error
    read(path)
    return path


def read(path):
    """The tensors of a file by `torch.save`, mapped from the disk. Raises ConnectionError for anything else: whoever asked
    for weights has none.

    >>> torch.save({"weight": torch.ones(2)}, "mine.pth")
    >>> read("mine.pth")
    {'weight': tensor([1., 1.])}
    """
    if (path := Path(path)).is_file() and (fault := find_fault(path, sum_of(path))):
        raise ConnectionError(f"{path} is damaged or altered: {fault}")
    for mapped in (True, False):                               # files of before 2020 cannot be mapped
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
        except Exception as error:      # noqa: BLE001 - torch raises many kinds for a file that holds something else
            reason = str(error).partition("\n")[0]
    raise ConnectionError(f"{path} is no file of weights, or a damaged one ({reason})")


def torchvision_network(name, weights, **options):
    """torchvision's network of that name with the weights of one of its enums; options: of the network. Raises
    ConnectionError where they can neither be found nor fetched.

    >>> from types import SimpleNamespace
    >>> torchvision_network("vgg16", SimpleNamespace(url="vgg16-397923af.pth"))
    Traceback (most recent call last):
    ConnectionError: vgg16-397923af.pth is not a web address: give one that starts with https://
    """
    import torchvision                 # late: it takes a second that colouring a photo does not need
    state, network = read(fetch(weights.url)), torchvision.models.get_model(name, **options)
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ConnectionError(f"{cached(weights.url)} does not hold the weights of {name} ({' '.join(str(error).split())[:200]})") from None
    return network
