"""Made-up infrared for colour photos, to try code on where no pairs are at hand. It is synthetic: never compare its scores with those of real
pairs."""
import hashlib

import numpy as np
import torch

__all__ = ["PseudoInfrared", "pseudo_nir"]

LEAF = 0.10, 0.03           # excess green at which half a leaf is seen, and how softly; leaves are mostly above 0.15 (ours, by eye)
BLUE = 0.10, 0.03           # the same of excess blue, for sky and water
LEAF_GAIN = 0.65            # share of the way to white that leaves go
BLUE_LOSS = 0.65            # share of its brightness that blue loses
DYE_SPREAD = 0.5            # largest share by which a hue's brightness changes


def pseudo_nir(rgb, seed=0):
    """A made-up near-infrared picture of a colour photo, `(H, W)` uint8, an array for an array and a tensor for a tensor. Synthetic.

    rgb: array `(H, W, 3)` or tensor `(3, H, W)`, uint8. Leaves become bright (a soft mask of the excess green 2g - r - b
    of the chromatic coordinates, Woebbecke et al. 1995), blue sky and water dark, and every other hue brighter or darker
    by a random gain, the more the purer it is, as dyes reflect infrared whatever their colour. seed: of these gains.
    Raises ValueError for another shape or dtype.

    >>> leaf, sky = np.uint8([[[60, 160, 50]]]), np.uint8([[[80, 150, 230]]])
    >>> int(pseudo_nir(leaf)[0, 0]) > 180, int(pseudo_nir(sky)[0, 0]) < 70
    (True, True)
    """
    array = rgb.permute(1, 2, 0).cpu().numpy() if torch.is_tensor(rgb) else np.asarray(rgb)
    if array.ndim != 3 or array.shape[-1] != 3 or array.dtype != np.uint8:
        raise ValueError(f"pseudo_nir needs a colour picture in uint8, not {tuple(array.shape)} {array.dtype}.")
    levels = array.astype(np.float32) / 255
    r, g, b = np.moveaxis(levels / (levels.sum(-1, keepdims=True) + 0.1), -1, 0)      # chromatic coordinates, (H, W) each; 0.1: not in the dark
    leaf, blue = _soft(2 * g - r - b, *LEAF), _soft(2 * b - r - g, *BLUE)
    nir = levels @ np.float32([0.299, 0.587, 0.114])
    hue, purity = np.arctan2(np.sqrt(3) * (g - b), 2 * r - g - b), levels.max(-1) - levels.min(-1)
    nir = nir * (1 + DYE_SPREAD * (1 - leaf) * (1 - blue) * np.minimum(2 * purity, 1) * _dye_gain(hue, seed))
    nir = (nir + LEAF_GAIN * leaf * (1 - nir)) * (1 - BLUE_LOSS * blue)
    nir = np.rint(255 * nir.clip(0, 1)).astype(np.uint8)
    return torch.from_numpy(nir) if torch.is_tensor(rgb) else nir


def _soft(values, middle, width):
    return 1 / (1 + np.exp(-(values - middle) / width))


def _dye_gain(hue, seed):
    """A smooth random function of hue (radians), in [-1, 1]: three waves around the circle."""
    rng = np.random.default_rng(seed)
    return sum(np.cos(k * hue + phase) for k, phase in zip((1, 2, 3), rng.uniform(0, 2 * np.pi, 3))) / 3


class PseudoInfrared(torch.utils.data.Dataset):
    """A map-style data set whose samples also hold a made-up nir `(1, H, W)` uint8, with other gains for every picture.
    `synthetic` is True and ids begin with `pseudo/`, so that its scores cannot pass for those of real pairs.

    >>> from colorlib.data import Packed
    >>> sample = PseudoInfrared(Packed(np.zeros((1, 8, 8, 3), np.uint8), ["coal"]))[0]
    >>> sample["id"], sample["nir"].shape
    ('pseudo/coal', torch.Size([1, 8, 8]))
    """
    synthetic = True

    def __init__(self, dataset, seed=0):
        self.dataset, self.seed = dataset, seed
        self.ids = [f"pseudo/{one}" for one in dataset.ids]

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, i):
        sample = self.dataset[i]
        seed = int.from_bytes(hashlib.sha256(f"{self.seed}/{sample['id']}".encode()).digest()[:8], "big")
        return sample | {"nir": pseudo_nir(sample["rgb"], seed)[None], "id": self.ids[i]}
