"""The frames of a clip, painted one after the other: what a recurrent network remembers, and how colour can be carried along the motion.

A method that looks at single pictures paints every frame anew, and its colours flicker. Here they can be smoothed along the motion: the colours of the frame
before, moved by optical flow, are mixed into the new ones where the two frames' lightness agrees (the idea of blind temporal consistency, Bonneel et al. 2015 and
Lai et al. 2018, without a second network). A method whose paper has `colorize_next` remembers by itself.
"""
import numpy as np
import torch
import torch.nn.functional as F

from colorlib import images, motion, painting, zoo

__all__ = ["FramePainter", "SMOOTH"]

SMOOTH = 0.85          # share of the moved colours that smoothing takes where the flow is sure
AGREEMENT = 4.0        # units of L by which two moments of one surface may differ: beyond about twice that the flow is not trusted


class FramePainter:
    """Call it with the frames of a clip in order, `(H, W, 3)` uint8; each comes back coloured at its own size.

    method, model: a name of the catalogue and its network (`zoo.load`). smooth: 0 paints as the method does, up to 1 for more and more of the colours of the
    frame before (`SMOOTH` is a good value). working_size, merge, hints, caption, reference: as for `colorlib.colorize`; a condition holds for every frame, hints
    at the same places. Raises ValueError for smooth outside [0, 1] and for conditions that do not fit the method.

    >>> model = zoo.get("koalarization").papers.build(zoo.get("koalarization").presets["smoke"])
    >>> painter = FramePainter("koalarization", model, smooth=SMOOTH)
    >>> frames = np.zeros((3, 48, 64, 3), np.uint8)
    >>> [painter(frame).shape for frame in frames]
    [(48, 64, 3), (48, 64, 3), (48, 64, 3)]
    """

    def __init__(self, method, model, *, smooth=0.0, working_size=None, merge="guided", hints=None, caption=None, reference=None):
        if not 0 <= smooth <= 1:
            raise ValueError(f"smooth is {smooth}: choose a number from 0 (none) to 1.")
        self.row, self.model, self.smooth, self.side, self.merge = zoo.get(method), model, smooth, working_size, merge
        self.given, self.conditions = zoo.check_conditions(self.row, hints=hints, caption=caption, reference=reference), None
        self.is_recurrent = hasattr(self.row.papers, "colorize_next")
        self.forget()

    def forget(self):
        """Begin a new shot."""
        self.state, self.before = None, None      # of the network; (guide, colours) of smoothing

    def __call__(self, rgb, cut=False):
        """A frame `(H, W, 3)` uint8, painted. cut: it is the first of a new shot, so nothing before it counts."""
        if cut:
            self.forget()
        picture = images.open_image(rgb)
        L = images.lightness(picture)
        if self.conditions is None:
            self.conditions = painting.read_conditions(self.row, self.model, L, **self.given)
        if self.is_recurrent:
            seen = painting.see(self.row, self.model, picture, L, self.side)
            planes, self.state = self.row.papers.colorize_next(self.model, seen, self.state)
            planes = planes[0].float().cpu().numpy()
        else:
            planes = painting.paint_small(self.row, self.model, picture, L, self.side, **self.conditions)
        if self.smooth:
            guide = images.model_input(L, self.side or zoo.working_size(self.model.config))[0, 0].numpy()        # (h, w)
            planes = self.carry(guide, planes)
        return painting.enlarge(self.row, picture, L, planes, self.merge)

    def carry(self, guide, planes):
        """Mix the colours of the frame before, moved along, into new ones `(C, h, w)`. guide: the new frame's L `(h', w')`."""
        planes = _fit(planes, guide.shape)
        if self.before is not None and self.before[0].shape == guide.shape:
            before, old, new = (torch.from_numpy(np.ascontiguousarray(one)) for one in (self.before[0], self.before[1], guide))
            moved, mismatch = motion.follow(old[None], before[None, None], new[None, None])
            trust = (-(mismatch[0] / AGREEMENT).square()).exp().numpy()                                          # (1, h, w)
            planes = planes + self.smooth * trust * (moved[0].numpy() - planes)
        self.before = guide, planes
        return planes

    def state_dict(self):
        """What the next frame depends on, {name: array}; {} at the beginning of a shot."""
        found = {f"state.{name}": value.float().cpu().numpy() for name, value in (self.state or {}).items()}
        return found | ({"guide": self.before[0], "planes": self.before[1]} if self.before else {})

    def load_state_dict(self, found):
        """Go on where `state_dict` was taken."""
        self.forget()
        device = next(self.model.parameters()).device
        state = {name.removeprefix("state."): torch.from_numpy(np.array(value)).to(device) for name, value in found.items() if name.startswith("state.")}
        self.state = state or None
        if "guide" in found:
            self.before = np.array(found["guide"]), np.array(found["planes"])


def _fit(planes, shape):
    if planes.shape[1:] == tuple(shape):
        return planes
    return F.interpolate(torch.from_numpy(np.ascontiguousarray(planes))[None], size=tuple(shape), mode="bilinear", antialias=True)[0].numpy()
