"""How saliency maps are computed: three classical methods, and networks of the U-2-Net family. `colorlib.saliency` chooses among them.

Every method takes rgb `(H, W, 3)` uint8 and returns a map `(H, W)` float32 in [0, 1].
"""
import itertools
import threading
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from colorlib.data.downloads import download
from colorlib.data.packing import cache_folder
from colorlib.data.sources import stamp_files
from colorlib.lab import rgb_to_lab

__all__ = ["minimum_barrier", "spectral_residual", "fine_grained", "barrier_distance", "run_network",
           "download_network", "NETWORKS"]

RELEASES = "https://github.com/danielgatis/rembg/releases/download/v0.0.0"      # ONNX copies of xuebinqin/U-2-Net, Apache-2.0
NETWORKS = {                # name: address, sha256, bytes
    "u2netp": (f"{RELEASES}/u2netp.onnx", "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8", 4_574_861),
    "u2net": (f"{RELEASES}/u2net.onnx", "8d10d2f3bb75ae3b6d527c77944fc5e7dcd94b29809d47a739a7a728a912b491", 175_997_641)}

SPECTRAL_SIDE, SPECTRAL_SIGMA = 64, 2.5                     # Hou and Zhang, and the program they published
ROUNDING = 1 / 12                                           # variance of rounding to 8 bits: a phase below it means nothing (ours)
FINE_SCALES = (12, 24, 28, 48, 56, 112)                     # Montabone and Soto: reach of the surrounds in pixels
BARRIER_SIDE, BARRIER_ROUNDS = 80, 2                        # (ours; theirs 300 and 3: no better from 160 pixels, and slower)
BORDER, SMOOTHING, CONTRAST = 0.1, 50 / 300, 10             # Zhang et al.: alpha = 50 for a longest side of 300
COLOR_NOISE = 1.0                                           # CIE units squared: a flat border still has a covariance (ours)
NETWORK_SIDE, NETWORK_MEAN, NETWORK_STD = 320, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)     # u2net_test.py, data_loader.py


def _stretch(saliency):
    """To [0, 1]; nothing but rounding errors becomes zeros."""
    above = saliency - saliency.min()
    return above / above.max() if above.max() > 1e-6 * np.abs(saliency).max() else np.zeros_like(saliency)


def fit(plane, width, height):
    """A plane `(H, W[, C])` at another size, by areas where it shrinks."""
    shrinks = plane.shape[0] > height or plane.shape[1] > width
    return cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _shrink(plane, side, of=max):
    """At most `side` pixels on the longer side (of=max) or the shorter one (of=min); never enlarged."""
    scale = min(1, side / of(plane.shape[:2]))
    return fit(plane, *(max(1, round(length * scale)) for length in plane.shape[1::-1]))


# ---------------------------------------------------------------- classical methods: (H, W, 3) uint8 -> (H, W) float32 in [0, 1]

def spectral_residual(rgb):
    """Hou and Zhang 2007: natural pictures have a smooth log amplitude spectrum; what sticks out of its local mean is salient.

    S = |F^-1[exp(log A - mean_3x3(log A) + i P)]|^2, smoothed; A and P are amplitude and phase of the grey picture at 64 pixels.

    >>> dots = np.zeros((64, 64, 3), np.uint8); dots[::8, ::8] = 255; dots[32, 36] = 255                 # one out of line
    >>> saliency = spectral_residual(dots)
    >>> saliency.shape, saliency.dtype, saliency.max().item()
    ((64, 64), dtype('float32'), 1.0)
    """
    gray = _shrink(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), SPECTRAL_SIDE, of=min).astype(np.float64)
    if np.ptp(gray) == 0:                                   # colours of one grey value: its spectrum has no phase
        return np.zeros(rgb.shape[:2], np.float32)
    spectrum = np.fft.fft2(gray)
    log_amplitude = np.log(np.abs(spectrum) + np.sqrt(gray.size * ROUNDING))
    around = np.pad(log_amplitude, 1, mode="wrap")          # a spectrum is periodic
    residual = log_amplitude - cv2.blur(around, (3, 3))[1:-1, 1:-1]
    energy = np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2
    smooth = cv2.GaussianBlur(energy.astype(np.float32), (0, 0), SPECTRAL_SIGMA)
    return _stretch(fit(smooth, *rgb.shape[1::-1]))


def fine_grained(rgb):
    """Montabone and Soto 2010: on-centre and off-centre differences of each grey pixel to the mean of its surround, over
    six scales, after two 3 x 3 blurs.

    >>> picture = np.zeros((64, 64, 3), np.uint8); picture[28:36, 28:36] = 255
    >>> saliency = fine_grained(picture)
    >>> [round(saliency[place].item(), 1) for place in ((31, 31), (0, 0))]
    [1.0, 0.0]
    """
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    gray = cv2.GaussianBlur(cv2.GaussianBlur(gray, (3, 3), 0), (3, 3), 0)
    total = np.zeros_like(gray)
    for radius in FINE_SCALES:
        side = 2 * radius + 1
        mean = cv2.boxFilter(gray, -1, (side, side), borderType=cv2.BORDER_REPLICATE)
        total += np.abs(gray - (mean * side ** 2 - gray) / (side ** 2 - 1))      # |on| + |off|: one of them is 0
    return _stretch(total)


def minimum_barrier(rgb):
    """Zhang et al. 2015 (MB+): minimum barrier distance to the border, plus contrast to the border's colours, favouring the middle.

    Then smoothed by opening and closing by reconstruction and passed through a sigmoid, as in the paper.

    >>> picture = np.zeros((64, 64, 3), np.uint8); picture[24:40, 24:40] = 255, 0, 0
    >>> saliency = minimum_barrier(picture)
    >>> [round(saliency[place].item(), 1) for place in ((32, 32), (0, 0))]
    [1.0, 0.0]
    """
    lab = rgb_to_lab(_shrink(rgb, BARRIER_SIDE))            # (h, w, 3) float32
    distance = _stretch(barrier_distance(lab.transpose(2, 0, 1)).sum(0))
    saliency = _stretch(_smooth(_stretch(distance + _border_contrast(lab))))
    saliency = _stretch(saliency * _centredness(*saliency.shape))
    saliency = 1 / (1 + np.exp(-CONTRAST * (saliency - 0.5)))
    return _stretch(fit(saliency.astype(np.float32), *rgb.shape[1::-1]))


def barrier_distance(planes, rounds=BARRIER_ROUNDS):
    """Minimum barrier distance of each pixel to the border: planes `(C, H, W)` -> `(C, H, W)`, each plane by itself.

    The barrier of a path is its highest value minus its lowest one; the distance is the smallest barrier of any path to the border
    (Strand et al. 2013). As in FastMBD (Zhang et al. 2015) each pixel keeps the extremes of its best path so far and offers
    it to its neighbours; here a whole row or column offers at once, downwards, rightwards, upwards, leftwards, so that NumPy can keep up.
    The result is a barrier of a real path: never below the true distance, and seldom above it.

    >>> plane = np.zeros((1, 5, 5)); plane[0, 1:4, 1:4] = 7; plane[0, 2, 2] = 3          # a pit inside a wall
    >>> barrier_distance(plane)[0, 2]                            # who is in the pit must cross the wall
    array([0., 7., 7., 7., 0.], dtype=float32)
    """
    planes = np.array(planes, np.float32, order="C")
    distance = np.full_like(planes, np.inf)
    distance[:, [0, -1]] = distance[:, :, [0, -1]] = 0
    rows = (planes, distance, planes.copy(), planes.copy())                     # values, distance, highest, lowest on the best path
    columns = tuple(array.transpose(0, 2, 1) for array in rows)                 # views of the same memory
    for _ in range(rounds):
        for arrays in (rows, columns):
            _sweep(*arrays, step=1)
        for arrays in (rows, columns):
            _sweep(*arrays, step=-1)
    return distance


def _sweep(values, distance, highest, lowest, step):
    """Each row offers its best paths to the next one, from the first to the last (step 1) or back (step -1)."""
    for here, there in itertools.pairwise(range(values.shape[1])[::step]):
        high = np.maximum(highest[:, here], values[:, there])
        low = np.minimum(lowest[:, here], values[:, there])
        barrier = high - low
        better = barrier < distance[:, there]
        for array, offer in ((distance, barrier), (highest, high), (lowest, low)):
            np.copyto(array[:, there], offer, where=better)


def _border_contrast(lab):
    """Mahalanobis distance of each pixel to the colours of the four border strips, summed without the largest: one may hold the object."""
    band = max(1, round(BORDER * min(lab.shape[:2])))
    contrasts = []
    for strip in (lab[:band], lab[-band:], lab[:, :band], lab[:, -band:]):
        colors = strip.reshape(-1, 3).astype(np.float64)
        mean = colors.mean(0)
        covariance = (colors - mean).T @ (colors - mean) / len(colors) + COLOR_NOISE * np.eye(3)
        whitened = (lab - mean) @ np.linalg.cholesky(np.linalg.inv(covariance))
        distance = np.sqrt((whitened ** 2).sum(-1))
        contrasts.append(distance / max(distance.max(), 1e-6))
    return _stretch(np.sum(contrasts, 0) - np.max(contrasts, 0))


def _smooth(saliency):
    """Opening, then closing, by reconstruction: levels what is smaller than a window and keeps the edges of what is larger."""
    from skimage.morphology import reconstruction      # late: it takes half a second that colouring a photo does not need
    radius = max(1, round(SMOOTHING * np.sqrt(saliency.mean()) * max(saliency.shape) / 2))
    window = np.ones((2 * radius + 1,) * 2, np.uint8)
    saliency = saliency.astype(np.float32)
    opened = reconstruction(cv2.erode(saliency, window), saliency, method="dilation").astype(np.float32)
    return reconstruction(cv2.dilate(opened, window), opened, method="erosion")


def _centredness(height, width):
    """1 in the middle, 0 in the corners of a square."""
    y, x = np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2
    return 1 - np.hypot(y[:, None], x) * np.sqrt(2) / max(height, width)


# ---------------------------------------------------------------- networks

def download_network(name="u2netp", folder=None, progress=None):
    """Fetch the ONNX file of a network of NETWORKS unless it is there; return its Path.

    folder: where to keep it (default: `networks` in `cache_folder()`). Size and sha256 are checked. Raises ValueError for an unknown name
    or a wrong file, ConnectionError, with the place to put the file by hand, when nothing answers.

    >>> download_network("u3net")
    Traceback (most recent call last):
        ...
    ValueError: There is no network 'u3net': choose u2netp or u2net, or name an .onnx file of your own.
    """
    if name not in NETWORKS:
        raise ValueError(f"There is no network {name!r}: choose {' or '.join(NETWORKS)}, or name an .onnx file of your own.")
    url, sha256, size = NETWORKS[name]
    path = Path(folder or cache_folder() / "networks").expanduser() / f"{name}.onnx"
    return download(url, path, sha256=sha256, size=size, progress=progress)


find_network = lru_cache(download_network)       # its checksum is computed once, not for every picture
_network_lock = threading.Lock()        # OpenCV's networks hold their input


@lru_cache(maxsize=2)
def _load_network(path, stamp):
    """(network, name of its first output); OpenCV's own order of the outputs depends on its engine, and a wrong number of channels makes it
    read past its input, so both are looked up in the file."""
    try:
        graph = _read_message(_read_message(memoryview(Path(path).read_bytes()))[7][0])       # onnx.proto: ModelProto.graph = 7
        picture, output = _read_message(graph[11][0]), bytes(_read_message(graph[12][0])[1][0]).decode()      # input = 11, output = 12
        sides = [_read_message(side).get(1, [None])[0] for side in
                 _read_message(_read_message(_read_message(picture[2][0])[1][0])[2][0])[1]]   # type.tensor_type.shape.dim.dim_value
        network = cv2.dnn.readNetFromONNX(path)
    except (OSError, LookupError, ValueError, TypeError, cv2.error) as error:
        raise ValueError(f"{path} cannot be read as an ONNX network ({_first_line(error)}): download it again.") from error
    if len(sides) != 4 or sides[1] not in (3, None) or any(side not in (NETWORK_SIDE, None) for side in sides[2:]):
        raise ValueError(f"{path} takes {sides} instead of a picture (1, 3, 320, 320): use a network of the U-2-Net family.")
    return network, output


def _read_message(data):
    """The fields of a protobuf message, {number: [integers or bytes]}."""
    fields, at = {}, 0

    def varint():
        nonlocal at
        value, shift = 0, 0
        while True:
            value, shift, at = value | (data[at] & 127) << shift, shift + 7, at + 1
            if data[at - 1] < 128:
                return value
    while at < len(data):
        number, kind = divmod(varint(), 8)
        size = varint() if kind in (0, 2) else {1: 8, 5: 4}[kind]
        fields.setdefault(number, []).append(size if kind == 0 else data[at:at + size])
        at += size if kind else 0
    return fields


def run_network(rgb, path):
    """A salient object network on one picture, by OpenCV on the CPU: `(H, W, 3)` uint8 -> `(H, W)` float32 in [0, 1].

    As U-2-Net's own test program: 320 x 320, divided by its maximum, ImageNet mean and deviation, the first output min-max normalised and
    stretched back. Raises ValueError for a file that is not such a network.

    >>> size = Path("mine.onnx").write_bytes(b"no network")
    >>> run_network(np.zeros((8, 8, 3), np.uint8), "mine.onnx")
    Traceback (most recent call last):
        ...
    ValueError: ...mine.onnx cannot be read as an ONNX network ...
    """
    path = str(Path(path).expanduser().resolve())
    picture = fit(rgb, NETWORK_SIDE, NETWORK_SIDE).astype(np.float32)
    picture = (picture / max(picture.max(), 1) - np.float32(NETWORK_MEAN)) / np.float32(NETWORK_STD)
    with _network_lock:
        network, output = _load_network(path, stamp_files([path]))
        try:
            network.setInput(np.ascontiguousarray(picture.transpose(2, 0, 1)[None]))
            saliency = network.forward(output)
        except cv2.error as error:
            raise ValueError(f"{path} cannot be run on a (1, 3, 320, 320) picture ({_first_line(error)}): use a network of the U-2-Net "
                             "family.") from error
    if saliency.ndim != 4 or saliency.shape[:2] != (1, 1) or not np.isfinite(saliency).all():
        raise ValueError(f"{path} gives {saliency.shape} instead of one finite map (1, 1, h, w): use a network of the U-2-Net family.")
    return fit(_stretch(saliency[0, 0]), *rgb.shape[1::-1])


def _first_line(error):
    return " ".join(str(error).split())[:200]
