"""A whole data set on the training device, as bytes: batches are then cut where they are used, and no worker, no copy stands between."""
import numpy as np
import torch

from colorlib.data.packing import Packed

SHARE = 0.5         # of the device's free memory that a data set may take


class Resident(torch.utils.data.Dataset):
    """The pictures of a `Packed`, uint8, on a device. Samples are the pack's; `gather` gives many at once, which `data.batches` makes use of.

    ImageNet's 1.28 million squares of 128 px take 63 GB, Imagenette's 9,469 of 160 px 0.7 GB.
    """

    def __init__(self, packed, device):
        self.ids, self.device, whole = packed.ids, torch.device(device), {"rgb": np.moveaxis(packed.rgb, -1, 1)} | arrays_of(packed)      # (N, 3, H, W)
        if packed.labels is not None:
            whole["label"] = np.array(packed.labels, dtype=np.int64)
        self.whole = {key: torch.from_numpy(np.ascontiguousarray(values)).to(self.device) for key, values in whole.items()}

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
    """A `Resident` of the data set if it is a `Packed` of arrays alone that takes at most half of what is free on that CUDA device; else the data set itself."""
    device = torch.device(device)
    if device.type != "cuda" or type(dataset) is not Packed or len(arrays_of(dataset)) < len(dataset.extra):
        return dataset
    size = dataset.rgb.nbytes + sum(values.nbytes for values in arrays_of(dataset).values())
    return Resident(dataset, device) if size <= SHARE * torch.cuda.mem_get_info(device)[0] else dataset
