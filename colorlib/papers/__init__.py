"""Papers, one file each, readable alone from top to bottom. Each file offers the same names, by which it is trained, measured and used:

    Config, PRESETS                     every number with its source; sizes "smoke", "class", "paper" (VARIANTS where a file holds several methods)
    build(config, pretrained)           an untrained model, which keeps its `config`
    make_step(config, fabric, dataset, run, progress, compile)          a `Step`; run, progress: as of `train.fit`, compile: by torch.compile
    Step.__call__(batch), .result()     one update of all networks -> {name: loss}; the trained model
    colorize(model, batch)              pictures of any size -> ab `(N, 2, H, W)` in CIE units, from infrared rgb `(N, 3, H, W)` in [0, 1]
    variants(model), networks(config)   rows of the results table {name: function of a batch}, "" being `colorize`; rows of the parameter table

A GAN's `Step` has the parts of an update apart: `terms`, what the generator minimises, and `teach_critic`. Methods hand on what they make of a batch;
nothing of it stays on `self`.
`from colorlib.papers import cic` loads that file and what it needs; `colorlib.zoo.METHODS` names the methods.
"""
__all__ = []
