"""What a hint session asks of a model: the colours of its picture under any hints, and what else a pixel could have been."""
from collections import OrderedDict

import numpy as np
import torch

from colorlib import images, painting, zoo
from colorlib.hints import HintSet
from colorlib.lab import lab_to_rgb, map_to_gamut

__all__ = ["HintModel", "paint"]

FUNCTION_SIZE = 256          # px of the shorter side given to a plain function, the size ideepcolor works at
REMEMBERED = 24              # predictions kept, so that undo costs nothing
SCHEME_SIZES = {"dense": (1,), "icolorit": (2,), "zhang": (1, 9), "every_count": (1, 9)}      # px of the hints in `simulated_hints.training_hints`
NEIGHBORHOOD = 0.08          # of the shorter side: SD of the window that speaks for a pixel (ours)
LIGHTNESS_SD = 8.0           # and of the lightness its members differ by, in CIE units (ours)
LEAST_WEIGHT = 0.01          # of a member, against the pixel's own (ours)


def paint(L, ab, hints=(), dtype=np.uint8):
    """ab `(2, h, w)` under L `(H, W)`: rgb `(H, W, 3)`, see `images.merge_chroma`. The pixels of `hints` get the hints' colours exactly.

    >>> paint(np.full((4, 6), 100, np.float32), np.zeros((2, 2, 3), np.float32))[0, 0].tolist()
    [255, 255, 255]
    """
    if len(hints):
        told, mask = hints.maps(*ab.shape[1:])
        ab = np.where(mask > 0, told, ab)
    rgb = images.merge_chroma(L, ab, dtype=dtype)
    if len(hints):                                  # the merge bends colours along edges, so the hints' own pixels are set once more
        told, mask = hints.maps(*L.shape)
        lab = np.concatenate([L[None], told])[:, mask[0] > 0].T                                     # (n, 3)
        rgb[mask[0] > 0] = np.round(lab_to_rgb(map_to_gamut(lab)[0]) * np.iinfo(dtype).max)
    return rgb


class HintModel:
    """A method of the catalogue or a function `predict(L, hints) -> ab`, bound to one picture's L `(H, W)` in [0, 100].

    The function gets L `(h, w)` at the working size and a `HintSet`, whose `maps(h, w)` is what networks read; it returns ab `(2, h, w)` in CIE units.
    trained_sizes: sides of the hints' squares seen in training, in pixels at the working size; a function may have an attribute of that name.

    >>> model = HintModel(np.full((16, 24), 50, np.float32), lambda L, hints: hints.maps(*L.shape)[0], working_size=8)
    >>> model.predict(HintSet(16, 24)).shape
    (2, 8, 16)
    """

    def __init__(self, L, predict="hintnet", working_size=None, weights=None, device="auto"):
        self.function = self.paper = self.network = config = None
        if callable(predict):
            self.name, self.function = getattr(predict, "__name__", type(predict).__name__), predict
        else:
            row = zoo.get(predict)
            zoo.check_conditions(row, hints=())                      # a method that takes no hints says so
            self.name, self.paper, self.network = predict, row.papers, zoo.load(predict, weights, device=device)
            config = self.network.config
        self.working_size = working_size or (zoo.working_size(config) if config else FUNCTION_SIZE)
        schemes = {getattr(config, "scheme", None), *(stage[2] for stage in getattr(config, "stages", ()))}
        self.trained_sizes = tuple(getattr(predict, "trained_sizes", [size for scheme in schemes for size in SCHEME_SIZES.get(scheme, ())]))
        self.shape = L.shape
        self.L = images.model_input(L, self.working_size)[0, 0].numpy()                              # (h, w)
        self._answers = OrderedDict()

    def predict(self, hints):
        """ab `(2, h, w)` float32 in CIE units; the last few answers are remembered. Raises ValueError if a function returns anything else."""
        key = tuple(hints)
        if key not in self._answers:
            self._answers[key] = self._ask(hints)
            if len(self._answers) > REMEMBERED:
                self._answers.popitem(last=False)
        self._answers.move_to_end(key)
        return self._answers[key]

    def _ask(self, hints):
        if self.function is None:
            return painting.predict_ab(self.paper, self.network, self.L, self.working_size, hints=hints)
        ab = self.function(self.L, hints)
        ab = np.asarray(ab.detach().cpu() if torch.is_tensor(ab) else ab, np.float32)
        ab = ab[0] if ab.ndim == 4 and len(ab) == 1 else ab
        if ab.ndim != 3 or len(ab) != 2 or not ab.size or not np.isfinite(ab).all():
            raise ValueError(f"{self.name}(L, hints) must return finite ab (2, h, w) in CIE units, not an array {ab.shape}.")
        return ab

    def likely_colors(self, hints, y, x):
        """Colours `(n, 2)` the pixel could have, and their weights `(n,)`. The hints on the pixel itself are left out: they were the question.

        From the method's distribution head where it has one, else from what is predicted nearby, for pixels of like lightness, with all
        other hints, with either half of them, and with none.
        """
        others = [hint for hint in hints if (round(hint.y), round(hint.x)) != (round(y), round(x))]
        head = getattr(self.paper, "color_distribution", None)
        likely = None if head is None else self._ask_head(head, HintSet(*self.shape, others))
        if likely is not None:
            probabilities, bins = likely
            row, column = self.locate(y, x, probabilities.shape[1:])
            return bins, probabilities[:, row, column]
        row, column = self.locate(y, x, self.L.shape)
        rows, columns = np.ogrid[:self.L.shape[0], :self.L.shape[1]]
        sd = max(1.0, NEIGHBORHOOD * min(self.L.shape))
        weight = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * sd ** 2)
                        - (self.L - self.L[row, column]) ** 2 / (2 * LIGHTNESS_SD ** 2))
        near = np.argwhere(weight > LEAST_WEIGHT)
        halves = {tuple(others): 1, tuple(others[::2]): 1, tuple(others[1::2]): 1, (): 1}
        colors = []
        for some in halves:
            ab = self.predict(HintSet(*self.shape, some))
            colors.append(ab[:, near[:, 0] * ab.shape[1] // self.L.shape[0], near[:, 1] * ab.shape[2] // self.L.shape[1]].T)
        return np.concatenate(colors), np.tile(weight[near[:, 0], near[:, 1]], len(colors))

    def _ask_head(self, head, hints):
        ab, mask = hints.maps(*self.L.shape)
        place = next(self.network.parameters()).device
        batch = {name: torch.from_numpy(values)[None].to(place) for name, values in (("L", self.L[None]), ("hint_ab", ab), ("hint_mask", mask))}
        with torch.no_grad():
            likely = head(self.network, batch)
        return None if likely is None else (likely[0][0].float().cpu().numpy(), torch.as_tensor(likely[1]).float().cpu().numpy())

    def color_at(self, hints, y, x):
        """The colour (a, b) predicted at a pixel of the picture."""
        ab = self.predict(hints)
        return tuple(ab[:, *self.locate(y, x, ab.shape[1:])].tolist())

    def locate(self, y, x, shape):
        """(row, column) of the pixel of a copy of size `shape` that holds (y, x) of the picture."""
        return tuple(min(max(int((place + 0.5) * n / length), 0), n - 1) for place, n, length in zip((y, x), shape, self.shape))
