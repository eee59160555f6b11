"""What a day's work with the package does, in one process: imports all of it, colours a picture, trains a method and measures it; for the network's guard."""
import importlib
import pkgutil
import sys
import warnings
from pathlib import Path

import colorlib


def main(folder):
    from colorlib import experiments, images, scenes
    from tests.robustness import tiny_runs
    for module in pkgutil.walk_packages(colorlib.__path__, "colorlib."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    Path(folder, "photos").mkdir()
    for seed in range(12):
        images.save_image(f"{folder}/photos/{seed}.png", scenes.make_scene(seed, 48).rgb)
    weights = experiments.train_method("photonet", "smoke", "scenes:6", run=f"{folder}/run", steps=2, batch_size=2, device="cpu", progress=False,
                                       changes=tiny_runs.small_config("photonet"))
    colorlib.colorize(f"{folder}/photos/1.png", method="photonet", weights=weights)
    experiments.evaluate_method("photonet", "smoke", f"{folder}/photos", weights, limit=2, device="cpu", write=False, progress=False)
    print(len([name for name in sys.modules if name.startswith("colorlib.")]), "modules")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1])
