"""python -m colorlib {colorize, export, convert, train, evaluate, score, certify, ablate, tune, sources, misregister, leak, leaderboard, conditions, sheet, cards, reproduce, data, bench, list}: what the
notebooks call."""
import argparse
import ast
import contextlib
import functools
import itertools
import json
import os
import signal
import sys
import threading
import time
import warnings
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")      # before torch: on a busy machine its threads otherwise spin, up to thirty times slower
PICTURES = {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm", ".avif", ".jp2", ".psd", ".ico",
            ".heic", ".heif"}      # these two cannot be read, and are told of


class Parser(argparse.ArgumentParser):
    """One that says what is wrong in a sentence, as everything here does."""

    def error(self, message):
        self.exit(2, f"colorlib: {message}; see `{self.prog} --help`.\n")


def parse(arguments=None):
    parser = Parser(prog="python -m colorlib", description="Image colorization: use it, train it, reproduce the papers.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")

    p = commands.add_parser("colorize", help="colour pictures and clips, or every one in a folder")
    p.add_argument("pictures", nargs="+", metavar="file", help="pictures, clips (MP4, MOV, MKV, WebM, AVI, moving GIF) or folders of them")
    p.add_argument("-o", "--output", help="output file (one input) or folder; default: NAME_colorized beside each input")
    p.add_argument("--method", default="best", help="see `python -m colorlib list` (default: the best automatic one, or the best for the condition given)")
    p.add_argument("--hints", help="JSON file with colour hints, for methods that take them")
    p.add_argument("--caption", help="a sentence with colour words, for methods that take one")
    p.add_argument("--reference", help="a colour picture to borrow from, for methods that take one")
    p.add_argument("--weights", help="a .safetensors file instead of the shipped weights")
    p.add_argument("--working-size", type=count, help="shorter side the network works at, in pixels")
    p.add_argument("--max-pixels", type=count, help="refuse larger pictures (default 105 million, which take 2 GiB)")
    p.add_argument("--merge", default="guided", choices=("guided", "bilinear"), help="how colour joins the full-size picture")
    p.add_argument("--smooth", type=share, metavar="SHARE", help="clips: how much colour is carried along the motion, 0 to 1 (default: the method's)")
    p.add_argument("--cuts", default="auto", choices=("auto", "none"), help="clips: look for cuts, where the colours of before do not count, or do not")
    p.add_argument("--frames", metavar="RATE", help="each folder given is one clip, its pictures the frames, RATE of them a second")
    p.add_argument("--allow-truncated", action="store_true", help="clips: take what comes before the damage of a damaged file")
    p.add_argument("--device", default="auto")
    p.add_argument("--precision", default="32-true", choices=("32-true", "bf16"), help="bf16: in the layers where no value of a picture moves by more than one level")
    p.add_argument("--compile", action="store_true", help="torch.compile the network: worth it for many pictures")

    p = commands.add_parser("export", help="write a method's network as an ONNX file")
    p.add_argument("method")
    p.add_argument("-o", "--output", help="the file (default: METHOD.onnx)")
    p.add_argument("--weights", help="a .safetensors file instead of the shipped weights")

    p = commands.add_parser("convert", help="turn a PyTorch checkpoint (.pth), old or published, into weights that --weights takes; code in it is not run")
    p.add_argument("checkpoint")
    p.add_argument("--method", help="whose weights they are, where several methods share a network; squeezenet1_1_caffe for the classifier")
    p.add_argument("-o", "--output", help="the .safetensors file (default: beside the checkpoint)")
    p.add_argument("--entry", help="which of several networks in the file, such as netG")
    p.add_argument("--config", help="which settings, where several fit: smoke, class, paper; of authors' files released, caffe, paper_probable")

    p = commands.add_parser("train", help="train a method and save its weights")
    p.add_argument("method")
    add_size(p)
    p.add_argument("--data", help="scenes, imagenette, a folder of photos, or tar shards (default: scenes at smoke size, else imagenette); stream:SHARDS reads shards "
                   "again and again instead of packing them")
    p.add_argument("--run", help="folder for log and checkpoints; an interrupted run goes on (default runs/METHOD-SIZE)")
    p.add_argument("--save", help="where to write the weights (default: into the run folder)")
    p.add_argument("--steps", type=count)
    p.add_argument("--batch-size", type=count)
    p.add_argument("--seed", type=natural)
    p.add_argument("--workers", type=natural, default=0, help="processes that load pictures")
    p.add_argument("--device", default="auto", help="auto, cpu or cuda")
    p.add_argument("--devices", default="auto", type=lambda text: text if text == "auto" else count(text), help="how many, for data parallel training")
    p.add_argument("--nodes", type=count, default=1, help="machines, each with --devices of them; the command is started on every one (see the README)")
    add_precision(p)
    p.add_argument("--compile", action="store_true", help="torch.compile the networks")
    p.add_argument("--checkpoint-activations", action="store_true", help="compute activations again instead of keeping them: more time, larger batches")
    p.add_argument("--split", default="train", choices=("train", "fit"), help="fit: leave out the twentieth of the training photographs that `tune` measures on")
    p.add_argument("--misregister", metavar="KIND[:AMOUNT]",
                   help="move infrared pairs against each other: shift:4, affine, homography:8, elastic:4 or shuffled; for methods that see infrared")
    add_settings(p)

    p = commands.add_parser("evaluate", help="measure a method beside the trivial answers and append the rows to data/results")
    p.add_argument("method")
    add_size(p)
    p.add_argument("--data", help="as for train; the test part is used")
    p.add_argument("--split", default="val", choices=("val", "legacy"), help="legacy: of VCIP2020's folder, the 28 pairs published numbers were measured on")
    p.add_argument("--weights")
    p.add_argument("--limit", type=count, help="at most so many pictures")
    p.add_argument("--device", default="auto")
    p.add_argument("--dry-run", action="store_true", help="print, write no rows")
    p.add_argument("--curve", action="store_true", help="for methods that take hints: PSNR against the number of hints, in three protocols")
    p.add_argument("--clips", action="store_true",
                   help="on clips, frame by frame and smoothed: how steady the colours are; --data: scenes or a folder of clips (default scenes)")
    p.add_argument("--published", action="store_true", help="for SCGAN: the authors' evaluation, slips included, beside the same done right")
    p.add_argument("--protocol", choices=("legacy", "standard"), 
                   help="legacy: as CT2 and DDColor measure; standard: done right, with intervals; rows go to data/results/PROTOCOL.csv")
    add_geometry(p)

    p = commands.add_parser("score", help="score two folders of pictures, painted and true, matched by name")
    p.add_argument("painted")
    p.add_argument("true")
    p.add_argument("--protocol", default="standard", choices=("legacy", "standard"), help="see evaluate")
    add_geometry(p)

    p = commands.add_parser("certify", help="is a folder the set published numbers were measured on, and with which resize kernel?")
    p.add_argument("folder", help="the true pictures, of any size")
    p.add_argument("--set", required=True, choices=("val5k", "val50k", "coco", "ade20k"))

    p = commands.add_parser("ablate", help="train a method with one thing changed at a time, several seeds each, and compare")
    p.add_argument("method")
    add_size(p)
    p.add_argument("--seeds", type=count, default=3)
    add_settings(p)
    p.add_argument("--rows", nargs="+", help="only these rows (default: all the paper's file lists)")
    p.add_argument("--data", default="scenes", help="as for train (default scenes, whose objects are known exactly)")
    p.add_argument("--run", default="runs", help="folder for the trainings (default runs)")
    p.add_argument("--device", default="auto")
    add_precision(p)

    p = commands.add_parser("tune", help="compare recipes, or ways to paint with trained weights, on held-out training photographs")
    p.add_argument("method")
    add_size(p)
    p.add_argument("--rows", nargs="+", help="only these rows (default: all the paper's file lists)")
    p.add_argument("--seeds", type=count, default=1)
    p.add_argument("--steps", type=count, help="updates of each training (default: the preset's)")
    p.add_argument("--weights", help="compare ways to paint with these weights, and write the best into their JSON file")
    p.add_argument("--least-colour", type=positive, default=0.0, metavar="SHARE", help="with --weights: how colourful the chosen one must be, as a share of the truth (default 0)")
    p.add_argument("--data", help="as for train (default Imagenette)")
    p.add_argument("--limit", type=count, help="held-out photographs to measure on (default 200)")
    p.add_argument("--run", default="runs", help="folder for the trainings (default runs)")
    p.add_argument("--device", default="auto")
    add_precision(p)

    p = commands.add_parser("sources", help="measure methods on all photographs of folders that they were not trained on, each folder on its own")
    p.add_argument("folders", nargs="+")
    p.add_argument("--methods", nargs="+", help="default: all with weights that are automatic or take hints")
    add_size(p)
    p.add_argument("--limit", type=count, help="at most so many photographs of each folder")
    p.add_argument("--device", default="auto")

    p = commands.add_parser("misregister", help="train on infrared pairs moved against each other, several seeds each, and test on registered ones")
    p.add_argument("methods", nargs="*", help="default: U-Net, pix2pix, CycleGAN and the asymmetric cycle GAN")
    add_size(p)
    p.add_argument("--kinds", nargs="+", metavar="KIND[:AMOUNT]", help="such as shift:0 shift:4 affine homography:8 elastic:4 shuffled (default: all of these)")
    p.add_argument("--seeds", type=count, default=3)
    p.add_argument("--data", default="scenes", help="as for train (default scenes)")
    p.add_argument("--limit", type=count, help="at most so many test pairs")
    p.add_argument("--run", default="runs", help="folder for the trainings (default runs)")
    p.add_argument("--device", default="auto")
    add_precision(p)

    p = commands.add_parser("leak", help="train on infrared pairs with and without other crops of the photographs tested on: what a leaking split is worth")
    p.add_argument("data", help="a folder of pairs, several crops of each photograph among them")
    p.add_argument("--method", default="unet_infrared")
    add_size(p)
    add_settings(p)
    p.add_argument("--device", default="auto")
    add_precision(p)

    p = commands.add_parser("leaderboard", help="train and measure all automatic methods under equal updates, in equal time, and as shipped")
    p.add_argument("--budget", default="all", choices=("steps", "minutes", "shipped", "all"))
    add_size(p)
    p.add_argument("--data", help="as for train; default scenes")
    p.add_argument("--methods", nargs="+", help="default: all automatic ones")
    p.add_argument("--seeds", type=count, default=3)
    p.add_argument("--steps", type=count, help="updates of the budget steps (default by size)")
    p.add_argument("--minutes", type=positive, help="of the budget minutes (default by size)")
    p.add_argument("--limit", type=count, help="at most so many test pictures (default 200)")
    p.add_argument("--run", default="runs", help="folder for the trainings (default runs)")
    p.add_argument("--device", default="auto")
    add_precision(p)

    p = commands.add_parser("conditions", help="what a hint, a caption, a reference, a saliency map buys: with and without it, on the same pictures")
    p.add_argument("--methods", nargs="+", help="only these conditioned methods")
    add_size(p)
    p.add_argument("--data", help="as for train (default: scenes at smoke size, else imagenette)")
    p.add_argument("--seeds", type=count, default=3, help="of SCGAN's trainings with and without saliency maps")
    p.add_argument("--steps", type=count, help="their updates (default: the leaderboard's)")
    p.add_argument("--limit", type=count, help="at most so many test pictures (default 200)")
    p.add_argument("--run", default="runs", help="folder for the trainings (default runs)")
    p.add_argument("--device", default="auto")
    add_precision(p)

    p = commands.add_parser("sheet", help="a method's pictures unchosen: some by lot, and the worst")
    p.add_argument("method")
    add_size(p)
    p.add_argument("--data", default="scenes", help="as for evaluate (default scenes); of methods for clips a folder of clips")
    p.add_argument("--split", default="val", choices=("val", "all", "legacy"), help="all: of a folder, every picture in it; legacy: see evaluate")
    p.add_argument("--weights", help="a .safetensors file (default: the shipped ones of this size)")
    p.add_argument("--limit", type=count, help="look among so many test pictures (default 200)")
    p.add_argument("--device", default="auto")

    commands.add_parser("cards", help="write the model cards beside the shipped weights: what they learned from, how well they paint, what is wrong with their pictures")

    p = commands.add_parser("reproduce", help="train what has no weights, evaluate, write rows, tables and figures; what is finished is not repeated")
    p.add_argument("method", nargs="?", default="all", help="a method; survey: tables and figures of several, from what was measured; all, the default: every method, "
                   "leaderboard, conditions, survey")
    add_size(p)
    p.add_argument("--data")
    p.add_argument("--limit", type=count, help="at most so many test pictures")
    p.add_argument("--again", action="store_true", help="also what was finished before")
    p.add_argument("--workers", type=count, help="processes at a time, for all (default: one a core, at most 4; one on a GPU)")
    p.add_argument("--photos", help="a folder with portraits, landscapes, legacy inside, for the figures that show them (default: scikit-image's)")
    p.add_argument("--device", default="auto")

    p = commands.add_parser("data", help="look through a data set: counts, sizes, grey and unreadable files")
    p.add_argument("path", help="folder of pictures, tar shards, scenes, a torchvision set, or a video, whose cuts are found")
    p.add_argument("--vcip-like", metavar="TARGET", help="path is the EPFL RGB-NIR Scene set: cut its pairs the way the VCIP2020 challenge did into this folder")

    p = commands.add_parser("bench", help="measure speed and memory beside named peers, in one run, and append the rows to data/results")
    p.add_argument("kinds", nargs="*", metavar="kind", help="lab: colour conversion; loader: pictures from files; train: updates of whole methods; infer: colouring; memory; "
                   "scaling: one process beside several (default: all, about ten minutes on two cores)")
    p.add_argument("--only", nargs="+", metavar="VARIANT", help="only these, such as scgan or tcvc")
    p.add_argument("--rounds", type=count, help="how often each contestant runs (default: 15, fewer for slow ones)")
    p.add_argument("--device", default="auto")
    p.add_argument("--dry-run", action="store_true", help="print, write no rows")

    p = commands.add_parser("list", help="the catalogue of methods")
    p.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def number(text, kind=int, least=0, most=float("inf"), above=False):
    """The number a person typed. Raises ArgumentTypeError, which argparse shows beside the argument's name, for what is none or is out of range."""
    try:
        value = kind(text)
    except ValueError:
        value = float("nan")
    if not (least < value if above else least <= value) or value > most:
        wanted = f"above {least}" if above else f"from {least} on" if most == float("inf") else f"from {least} to {most}"
        raise argparse.ArgumentTypeError(f"{text!r} is not a {'whole ' if kind is int else ''}number {wanted}")
    return value


natural, count = number, functools.partial(number, least=1)
positive, share = functools.partial(number, kind=float, above=True), functools.partial(number, kind=float, most=1)


def add_size(parser):
    parser.add_argument("--size", choices=("smoke", "class", "paper"), help="default: COLORLIB_SIZE, or smoke")


def add_precision(parser):
    parser.add_argument("--precision", choices=("32-true", "bf16-mixed", "16-mixed", "bf16-true", "64-true"), help="default: bf16-mixed on a GPU that has it, else 32-true")


def add_geometry(parser):
    parser.add_argument("--geometry", default="crop", choices=("crop", "squash"), help="legacy, in a folder: the central square, or aspect not kept")
    parser.add_argument("--kernel", default="pil bilinear",
                        help="legacy, in a folder: how pictures become 256 px, such as 'pil bilinear' (CT2's) or 'cv2 bilinear' (DDColor's)")


def add_settings(parser):
    parser.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE",
                        help="other values for fields of the paper's Config, such as attention_weight=0")


def main(arguments=None):
    """Run one command; returns the exit status. What a person can mend ends in one sentence on stderr, not in a traceback."""
    options = parse(arguments)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")      # a file's name may hold what no terminal can show
    parent = os.environ.pop("COLORLIB_PARENT", None) or ("TORCHELASTIC_RUN_ID" in os.environ and os.getppid())
    if str(parent or "").isdecimal():
        threading.Thread(target=end_with, args=(int(parent),), daemon=True).start()
    helps = any(os.environ.get(name, "0") != "0" for name in ("RANK", "LOCAL_RANK"))      # a further process of a training
    warnings.filterwarnings("ignore", "Initializing zero-element")      # torch's, of widths of 0, which an error follows
    warnings.showwarning = (lambda *_: None) if helps else lambda message, *_: say(message)
    try:
        return {"colorize": run_colorize, "export": run_export, "convert": run_convert, "train": run_train, "evaluate": run_evaluate, "score": run_score, "certify": run_certify,
                "ablate": run_ablate, "tune": run_tune, "sources": run_sources, "misregister": run_misregister, "leak": run_leak, "leaderboard": run_leaderboard, "conditions": run_conditions,
                "sheet": run_sheet, "cards": run_cards, "reproduce": run_reproduce, "data": run_data, "bench": run_bench, "list": run_list}[options.command](options) or 0
    except (ValueError, OSError, FloatingPointError, MemoryError) as error:
        if helps:
            time.sleep(3)      # the first process has met the same, mostly, and says it; this one then ends with it
        say(str(error) or "out of memory.")
        return 1
    except KeyboardInterrupt as error:
        if helps:      # not an error: the others must not be ended while they save
            return 0
        say(str(error) or "stopped.")
        return 128 + getattr(error, "number", 2)


def say(sentence):
    """One line on stderr, whatever a file in it is called."""
    from colorlib.files import printable
    print(f"colorlib: {printable(sentence)}", file=sys.stderr)


def end_with(parent):
    """End this process when the one that started it is gone, however it went; for the processes of `reproduce all` and of parallel trainings."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def run_colorize(options):
    from colorlib import albums, files, images, video, zoo
    from colorlib.data import video_writing, videos
    sources = []                                                    # (path, whether it is a clip)
    for given in map(Path, options.pictures):
        inside = pictures_in(given) if os.path.isdir(given) and not options.frames else [given]
        sources += [(path, os.path.isdir(path) or videos.is_clip(path)) for path in inside]
    if not sources:
        raise ValueError(f"No pictures or clips in {', '.join(options.pictures)}: name files or a folder that holds some.")
    output = Path(options.output) if options.output else None
    into_folder = output is not None and (os.path.isdir(output) or len(sources) > 1 or not (output.suffix or sources[0][0].is_dir()))
    if into_folder:
        files.make_folder(output)
    conditions = {name: getattr(options, name) for name in zoo.CONDITIONS}
    method = zoo.choose(options.method, weights=options.weights, **conditions)
    zoo.check_conditions(method, **conditions)
    if options.reference is not None:
        conditions["reference"] = images.open_image(options.reference)      # once, however many pictures there are
    model, failed = zoo.load(method.name, options.weights, device=options.device, precision=options.precision, compile=options.compile, channels_last=True), 0
    how, taken = {"model": model, "working_size": options.working_size, "merge": options.merge}, {}       # and {file written: what it shows}

    def place_of(source, name):
        return output / name if into_folder else output or (source.resolve() if source.is_dir() else source).with_name(name)

    def target_of(source, name):
        target = place_of(source, name)
        if (real := os.path.realpath(target)) == os.path.realpath(source):
            raise ValueError(f"{target} is the input itself: choose another output, the original stays as it is.")
        if (other := taken[real]) != source:
            raise ValueError(f"{source} would be written over {target}, which is {other} coloured: rename one of them, or colour them into different folders.")
        return target

    for source, is_clip in sources:
        taken.setdefault(os.path.realpath(place_of(source, (video_writing if is_clip else images).colorized_name(source))), source)

    def color_clip(source):
        try:
            target = target_of(source, video_writing.colorized_name(source))
            video.colorize_video(source, target, method.name, smooth=options.smooth, cuts=options.cuts, **how, **conditions,
                                 rate=options.frames if source.is_dir() else None, allow_truncated=options.allow_truncated)
            return target
        except albums.FAULTS as error:
            return error

    def save(source, picture):
        return images.save_image(target_of(source, images.colorized_name(source)), picture.rgb, like=picture)

    for is_clip, group in itertools.groupby(sources, key=lambda one: one[1]):
        group = [source for source, _ in group]
        done = ((source, color_clip(source)) for source in group) if is_clip else albums.colorize_many(
            group, method.name, save=save, max_pixels=options.max_pixels, **how, **conditions)
        for source, result in done:
            if isinstance(result, Exception):
                say(str(result) or source)
                failed += 1
            else:
                print(result, flush=True)
    return 1 if failed else 0


def run_export(options):
    from colorlib import export
    try:
        print(export.export_onnx(options.method, options.output or f"{options.method}.onnx", options.weights))
    except ImportError as error:
        raise ValueError(str(error)) from None


def run_convert(options):
    from colorlib import convert
    print(convert.convert(options.checkpoint, options.method, options.output, options.entry, options.config))


def pictures_in(folder):
    """The pictures and clips that lie directly in a folder, but for those that were made here."""
    from colorlib.data.clips import VIDEO_SUFFIXES
    try:
        found = list(folder.iterdir())
    except OSError as error:
        raise ValueError(f"{folder} cannot be read ({error.strerror}): check its permissions.") from error
    return sorted(path for path in found if path.suffix.lower() in PICTURES.union(VIDEO_SUFFIXES) and not path.is_dir()
                  and not path.stem.endswith("_colorized"))


def run_train(options):
    with ended_by_signals():
        from colorlib import experiments
        path = experiments.train_method(options.method, options.size, options.data, options.run, options.steps, options.batch_size, options.device,
                                        options.devices, options.precision, options.compile, options.workers, options.seed, save=options.save,
                                        changes=read_changes(options.method, options.size, options.set), misregister=options.misregister, split=options.split,
                                        nodes=options.nodes, checkpoint_activations=options.checkpoint_activations)
    if path is not None:
        print(path)


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


def read_changes(name, size, settings):
    """["attention_weight=0", "faithful=true"] -> {field: value of the field's type}. Raises ValueError for an unknown field or a value of another type."""
    from colorlib import train, zoo
    config, changes = zoo.get(name).presets[size or train.size()], {}
    for setting in settings:
        field, _, text = setting.partition("=")
        if field not in vars(config):
            raise ValueError(f"{name} has no setting {field!r}: choose one of {', '.join(vars(config))}.")
        known = getattr(config, field)
        try:
            value = text if isinstance(known, str) else ast.literal_eval({"true": "True", "false": "False"}.get(text, text))
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):      # the last two for thousands of brackets
            value = None
        value = float(value) if type(known) is float and type(value) is int else value
        if type(value) is not type(known):
            raise ValueError(f"{setting[:80]!r} does not fit: {field} is like {known!r}.")
        changes[field] = value
    return changes


def run_evaluate(options):
    from colorlib import experiments
    if options.clips + options.curve + options.published + bool(options.protocol) > 1:
        raise ValueError("--clips, --curve, --published and --protocol are four measurements: ask for one at a time.")
    if options.protocol:
        from colorlib import evaluators
        summaries = evaluators.measure_method(options.method, options.protocol, options.size, options.data, options.weights, limit=options.limit,
                                              device=options.device, write=not options.dry_run, geometry=options.geometry, kernel=options.kernel)
        print_scores(summaries, options.protocol)
        return
    if options.curve:
        from colorlib import hint_curves
        rows = hint_curves.measure_method(options.method, options.size, options.data, options.weights, limit=options.limit, device=options.device,
                                          write=not options.dry_run)
        print(hint_curves.table(rows))
        return
    if options.published:
        from colorlib import protocols, zoo
        if (measure := protocols.PROTOCOLS.get(zoo.get(options.method).module)) is None:
            raise ValueError(f"{options.method} has no evaluation of its own here: leave --published out.")
        summaries = measure(options.method, options.size, options.data, options.weights, limit=options.limit, device=options.device,
                            write=not options.dry_run)
        print(experiments.summary_table(summaries, protocols.SCGAN_METRICS))
        return
    if options.clips and options.split != "val":
        raise ValueError(f"Clips have no split {options.split}: leave --split or --clips out.")
    measure, more = (experiments.evaluate_clips, {}) if options.clips else (experiments.evaluate_method, {"split": options.split})
    summaries = measure(options.method, options.size, options.data, options.weights, limit=options.limit, device=options.device,
                        write=not options.dry_run, **more)
    print(experiments.summary_table({row or options.method: summary for row, summary in summaries.items()}))


def run_score(options):
    from colorlib import evaluators
    summary = evaluators.score_folders(options.painted, options.true, options.protocol, options.geometry, options.kernel)
    print_scores({options.painted: summary}, options.protocol)


def print_scores(summaries, protocol):
    """{row name: summary} of an evaluator as a table, its intervals under it, and what is not in it for want of weights."""
    from colorlib import evaluators, experiments
    first = next(iter(summaries.values()))
    print(experiments.summary_table(summaries, [metric for metric in evaluators.EVALUATORS[protocol] if first.get(metric) is not None]))
    for row, summary in summaries.items():
        known = [metric for metric in evaluators.INTERVALS if summary.get(f"{metric}_low") is not None]
        if intervals := [f"{metric} {summary[f'{metric}_low']:.3f}–{summary[f'{metric}_high']:.3f}" for metric in known]:
            print(f"{row}, 95 % of {summary['n']} pictures: {', '.join(intervals)}")
    if left_out := evaluators.missing(protocol):
        print(left_out)


def run_certify(options):
    from colorlib import certification
    for line in certification.certify(options.folder, options.set):
        print(line, flush=True)


def run_ablate(options):
    from colorlib import ablations
    changes = read_changes(options.method, options.size, options.set)
    for line in ablations.run(options.method, options.size, options.seeds, options.rows, options.device, options.precision, options.run, changes=changes,
                              spec=options.data):
        print(line, flush=True)
    print(ablations.table(options.method, options.size, options.data))


def run_tune(options):
    from colorlib import train, tuning
    shared = {"size": options.size or train.size(), "rows": options.rows, "spec": options.data, "device": options.device, "limit": options.limit or tuning.PICTURES}
    lines = (tuning.choose(options.method, options.weights, least=options.least_colour, **shared) if options.weights else
             tuning.compare(options.method, steps=options.steps, seeds=options.seeds, folder=options.run, precision=options.precision, **shared))
    for line in lines:
        print(line, flush=True)
    print(tuning.table(options.method))


def run_sources(options):
    from colorlib import other_sources, train, zoo
    size = options.size or train.size()
    for name in options.methods or [name for name in zoo.METHODS if other_sources.can_be_measured(name, size)]:
        for folder in options.folders:
            found = other_sources.measure(name, folder, size, limit=options.limit, device=options.device)
            print(f"{name} on {found['n']} photographs of {folder}: {found['gain']:+.2f} dB over grey, {found['colorfulness_ratio']:.2f} as colourful as the truth", flush=True)
    print(other_sources.table(size))


def run_misregister(options):
    from colorlib import experiments, misregistration_curves, train
    size = options.size or train.size()
    for line in misregistration_curves.run(options.methods or misregistration_curves.METHODS, options.kinds or misregistration_curves.KINDS, size, options.seeds,
                                           options.data, options.device, options.precision, options.run, options.limit):
        print(line, flush=True)
    print(misregistration_curves.table(size, f"{experiments.data_name(options.data)} val"))


def run_leak(options):
    from colorlib import infrared_leakage, train
    size = options.size or train.size()
    for line in infrared_leakage.run(options.data, options.method, size, changes=read_changes(options.method, size, options.set), device=options.device,
                                     precision=options.precision):
        print(line, flush=True)
    print(infrared_leakage.table(size))


def run_leaderboard(options):
    from colorlib import experiments, leaderboard, train
    size, spec = options.size or train.size(), options.data or "scenes"
    for line in leaderboard.run(options.budget, size, spec, options.methods, options.seeds, options.steps, options.minutes, options.limit,
                                options.device, options.precision, options.run):
        print(line, flush=True)
    for budget in leaderboard.BUDGETS if options.budget == "all" else (options.budget,):
        print(f"\n{leaderboard.TITLES[budget]}\n\n{leaderboard.table(budget, size, f'{experiments.data_name(spec)} val')}")


def run_conditions(options):
    from colorlib import condition_table, train
    size = options.size or train.size()
    for line in condition_table.run(size, options.data, options.limit, options.steps, options.seeds, options.methods or condition_table.METHODS,
                                    device=options.device, precision=options.precision, folder=options.run):
        print(line, flush=True)
    print(f"\n{condition_table.TITLE}\n\n{condition_table.table(size)}")


def run_sheet(options):
    from colorlib import contact_sheets
    path, gain, worse = contact_sheets.draw(options.method, options.size, options.data, options.weights, options.limit or contact_sheets.SEARCHED, options.device,
                                             split=options.split)
    print(f"{path}\n{gain:+.2f} dB to pictures left as they are given; worse than these: {100 * worse:.0f} %")


def run_cards(options):
    from colorlib import model_cards
    for path in model_cards.write():
        print(path)


def run_reproduce(options):
    from colorlib import reproduction
    for line in reproduction.reproduce(options.method, options.size, options.data, limit=options.limit, device=options.device, photos=options.photos,
                                       again=options.again, workers=options.workers):
        print(line, flush=True)


def run_data(options):
    from colorlib import data
    names = {name.lower() for name in data.TORCHVISION_SETS}
    if options.vcip_like:
        print(f"{options.vcip_like}: {data.build_vcip_like(options.path, options.vcip_like):,} pairs")
    elif options.path == "scenes":
        print(data.describe(data.SceneSet(200)))
    elif options.path.lower() in names and not Path(options.path).exists():
        print(data.describe(data.torchvision_set(options.path)))
    else:
        print(data.describe(options.path))


def run_bench(options):
    from colorlib import bench
    for text in bench.run(options.kinds, options.only, options.rounds, options.device, write=not options.dry_run):
        print(f"{text}\n", flush=True)


def run_list(options):
    from colorlib import memory, zoo
    rows = zoo.catalogue()
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        needs = ", ".join(row["conditions"]) or f"nothing but the {row['sees']} picture" + "".join(f", can take a {one}" for one in row["optional"])
        weights = "none shipped: train it" if row["learns"] else "not needed"
        if row["weights"]:
            weights = f"{row['weights']['file']} ({row['weights']['bytes'] / 1e6:.1f} MB)"
        print(f"{row['name']}\n  {row['paper']}\n  needs {needs}; weights {weights}; {row['notebook']}")
        print("  " + "; ".join(f"{network} {count:,}" for network, count in row["parameters"].items()))
        if row["memory"]:
            print(f"  at most: {memory.in_words(row['memory'])}")


if __name__ == "__main__":
    sys.exit(main())
