"""The commands that train: `train`, and `tune`, `ablate`, `misregister`, `leak`, which train several times and compare."""
import contextlib
import signal
import threading

from colorlib.commands.shared import add, add_device, add_precision, add_settings, add_size, add_trainings, count, natural, positive, read_changes, tell

__all__ = []      # for the command line alone


def add_train(commands):
    p = add(commands, "train", run_train, "train a method and save its weights",
            "koalarization",
            "koalarization --size class --data imagenette",
            "film --size class --data scenes:9000+imagenette",
            "scgan --data photos/ --steps 500 --set attention_weight=0",
            "scgan --size paper --data imagenette --devices 8 --precision bf16-mixed")
    p.add_argument("method", help="a name of `python -m colorlib list`")
    add_size(p)
    p.add_argument("--data", help="scenes, imagenette, a folder of photos, or tar shards (default: scenes at smoke size, else imagenette); "
                   "stream:SHARDS reads shards again and again instead of packing them")
    p.add_argument("--run", help="folder for log and checkpoints; an interrupted run goes on (default runs/METHOD-SIZE)")
    p.add_argument("--save", help="where to write the weights (default: into the run folder)")
    p.add_argument("--steps", type=count, help="updates (default: the preset's)")
    p.add_argument("--batch-size", type=count, help="pictures an update, shared among the devices (default: the preset's)")
    p.add_argument("--seed", type=natural, help="of weights, order and chance (default: the preset's)")
    p.add_argument("--workers", type=natural, default=0, help="processes that load pictures")
    add_device(p)
    p.add_argument("--devices", default="auto", type=lambda text: text if text == "auto" else count(text), help="how many, for data parallel training")
    p.add_argument("--nodes", type=count, default=1, help="machines, each with --devices of them; the command is started on every one (see data/results/README.md)")
    add_precision(p)
    p.add_argument("--compile", action="store_true", help="torch.compile the networks")
    p.add_argument("--checkpoint-activations", action="store_true", help="compute activations again instead of keeping them: more time, larger batches")
    p.add_argument("--split", default="train", choices=("train", "fit"),
                   help="fit: leave out the twentieth of the training photographs that `tune` measures on")
    p.add_argument("--misregister", metavar="KIND[:AMOUNT]",
                   help="move infrared pairs against each other: shift:4, affine, homography:8, elastic:4 or shuffled; for methods that see infrared")
    add_settings(p)


def run_train(options):
    with ended_by_signals():
        from colorlib import experiments
        path = experiments.train_method(options.method, options.size, options.data, options.run, options.steps, options.batch_size, options.device,
                                        options.devices, options.precision, options.compile, options.workers, options.seed, save=options.save,
                                        changes=read_changes(options.method, options.size, options.set), misregister=options.misregister, split=options.split,
                                        nodes=options.nodes, checkpoint_activations=options.checkpoint_activations)
    if path is not None:
        print(path)


def add_tune(commands):
    p = add(commands, "tune", run_tune, "compare recipes, or ways to paint with trained weights, on held-out training photographs",
            "photonet --size class",
            "photonet --size class --weights photonet.safetensors --least-colour 0.7")
    p.add_argument("method", help="a name of `python -m colorlib list`")
    add_size(p)
    p.add_argument("--rows", nargs="+", help="only these rows (default: all the paper's file lists)")
    p.add_argument("--seeds", type=count, default=1, help="trainings of each row (default 1)")
    p.add_argument("--steps", type=count, help="updates of each training (default: the preset's)")
    p.add_argument("--weights", help="compare ways to paint with these weights, and write the best into their JSON file")
    p.add_argument("--least-colour", type=positive, default=0.0, metavar="SHARE",
                   help="with --weights: how colourful the chosen one must be, as a share of the truth (default 0)")
    p.add_argument("--data", help="as for train (default Imagenette)")
    p.add_argument("--limit", type=count, help="held-out photographs to measure on (default 200)")
    add_trainings(p)


def run_tune(options):
    from colorlib import train
    from colorlib.experiments import tuning
    shared = {"size": options.size or train.size(), "rows": options.rows, "spec": options.data, "device": options.device,
              "limit": options.limit or tuning.PICTURES}
    lines = (tuning.choose(options.method, options.weights, least=options.least_colour, **shared) if options.weights else
             tuning.compare(options.method, steps=options.steps, seeds=options.seeds, folder=options.run, precision=options.precision, **shared))
    tell(lines)
    print(tuning.table(options.method))


def add_ablate(commands):
    p = add(commands, "ablate", run_ablate, "train a method with one thing changed at a time, several seeds each, and compare",
            "scgan --seeds 3",
            'gray2color --rows "no gate" "no palette"')
    p.add_argument("method", help="a name of `python -m colorlib list`")
    add_size(p)
    p.add_argument("--seeds", type=count, default=3, help="trainings of each row (default 3)")
    add_settings(p)
    p.add_argument("--rows", nargs="+", help="only these rows (default: all the paper's file lists)")
    p.add_argument("--data", default="scenes", help="as for train (default scenes, whose objects are known exactly)")
    add_trainings(p)


def run_ablate(options):
    from colorlib.experiments import ablations
    changes = read_changes(options.method, options.size, options.set)
    tell(ablations.run(options.method, options.size, options.seeds, options.rows, options.device, options.precision, options.run, changes=changes,
                       spec=options.data))
    print(ablations.table(options.method, options.size, options.data))


def add_misregister(commands):
    p = add(commands, "misregister", run_misregister, "train on infrared pairs moved against each other, test on registered ones",
            "--kinds shift:0 shift:4",
            "unet_infrared pix2pix_infrared --seeds 1")
    p.add_argument("methods", nargs="*", help="default: U-Net, pix2pix, CycleGAN and the asymmetric cycle GAN")
    add_size(p)
    p.add_argument("--kinds", nargs="+", metavar="KIND[:AMOUNT]", help="such as shift:0 shift:4 affine homography:8 elastic:4 shuffled (default: all of these)")
    p.add_argument("--seeds", type=count, default=3, help="trainings of each row (default 3)")
    p.add_argument("--data", default="scenes", help="as for train (default scenes)")
    p.add_argument("--limit", type=count, help="at most so many test pairs")
    add_trainings(p)


def run_misregister(options):
    from colorlib import experiments, train
    from colorlib.experiments import misregistration_curves
    size = options.size or train.size()
    tell(misregistration_curves.run(options.methods or misregistration_curves.METHODS, options.kinds or misregistration_curves.KINDS, size,
                                    options.seeds, options.data, options.device, options.precision, options.run, options.limit))
    print(misregistration_curves.table(size, f"{experiments.data_name(options.data)} val"))


def add_leak(commands):
    p = add(commands, "leak", run_leak, "what it is worth when other crops of the test photographs were trained on, in infrared",
            "VCIP2020/ --method unet_infrared")
    p.add_argument("data", help="a folder of pairs, several crops of each photograph among them")
    p.add_argument("--method", default="unet_infrared", help="one that sees infrared (default unet_infrared)")
    add_size(p)
    add_settings(p)
    add_device(p)
    add_precision(p)


def run_leak(options):
    from colorlib import train
    from colorlib.experiments import infrared_leakage
    size = options.size or train.size()
    tell(infrared_leakage.run(options.data, options.method, size, changes=read_changes(options.method, size, options.set), device=options.device,
                              precision=options.precision))
    print(infrared_leakage.table(size))


@contextlib.contextmanager
def ended_by_signals():
    """What clusters send before they kill, and a terminal that is closed, end a command as Ctrl-C does, with another status. Only the main thread can see to
    that."""
    endings = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    def interrupt(number, _):
        error = KeyboardInterrupt()
        error.number = number
        raise error
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, interrupt) for number in endings if signal.getsignal(number) != signal.SIG_IGN} if is_main else {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
