"""A whole data set on the training device, as bytes: batches are then cut where they are used, and no worker, no copy stands between."""
import numpy as np
import torch

from colorlib.data.packing import Packed

__all__ = ["Resident", "resident"]

SHARE = 0.5         # of the device's free memory that a data set may take


class Resident(torch.utils.data.Dataset):
    """The pictures of a `Packed`, or those at some of its places, uint8, on a device. Samples are the pack's; `gather`
    gives many at once, which `data.batches` makes use of.

    ImageNet's 1.28 million squares of 128 px take 63 GB, Imagenette's 9,469 of 160 px 0.7 GB.

    >>> whole = Resident(Packed(np.zeros((4, 8, 8, 3), np.uint8), list("abcd")), "cpu")
    >>> whole.gather([3, 0])["rgb"].shape, whole.gather([3, 0])["id"]
    (torch.Size([2, 3, 8, 8]), ['d', 'a'])
    """

    def __init__(self, packed, device, places=None):
        places = range(len(packed)) if places is None else places
        self.ids, self.device, whole = [packed.ids[i] for i in places], torch.device(device), {"rgb": packed.rgb} | arrays_of(packed)
        if packed.labels is not None:
            whole["label"] = np.array(packed.labels, dtype=np.int64)
        chosen = slice(None) if len(places) == len(packed) else list(places)
        self.whole = {key: torch.from_numpy(np.array(values[chosen])).to(self.device) for key, values in whole.items()}
        self.whole["rgb"] = self.whole["rgb"].movedim(-1, 1).contiguous()                               # (N, 3, H, W)

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, i):
        return {key: values[i] for key, values in self.whole.items()} | {"id": self.ids[i]}

    def gather(self, indices):
        """Samples by their places, collated: tensors `(n, ...)` on the device, ids as a list."""
        chosen = torch.as_tensor(indices, device=self.device)
        return {key: values[chosen] for key, values in self.whole.items()} | {"id": [self.ids[i] for i in indices]}


def arrays_of(packed):
    """What else the samples of a `Packed` hold, as far as it is arrays."""
    return {key: values for key, values in packed.extra.items() if isinstance(values, np.ndarray)}


def resident(dataset, device):
    """A `Resident` of the data set if it is a `Packed` of arrays alone, or some samples of one, and takes at most half of
    what is free on that CUDA device; else the data set itself.

    >>> packed = Packed(np.zeros((4, 8, 8, 3), np.uint8), list("abcd"))
    >>> resident(packed, "cpu") is packed      # which a CPU reads as quickly from the pack
    True
    """
    device = torch.device(device)
    packed, places = (dataset.dataset, dataset.indices) if isinstance(dataset, torch.utils.data.Subset) else (dataset, None)
    if device.type != "cuda" or type(packed) is not Packed or len(arrays_of(packed)) < len(packed.extra):
        return dataset
    size = len(dataset) * sum(values[0].nbytes for values in (packed.rgb, *arrays_of(packed).values()))
    return Resident(packed, device, places) if size <= SHARE * torch.cuda.mem_get_info(device)[0] else dataset
