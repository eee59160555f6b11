"""The commands of those who want pictures in colour: `colorize`, `list`, `export`, `convert`."""
import itertools
import json
import os
from pathlib import Path

from colorlib.commands.shared import add, add_device, count, say, share

__all__ = []      # for the command line alone

PICTURES = {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm", ".avif", ".jp2", ".psd", ".ico",
            ".heic", ".heif"}      # these two cannot be read, and are told of


def add_colorize(commands):
    p = add(commands, "colorize", run_colorize, "colour pictures and clips, or every one in a folder",
            "photo.jpg",
            "album/ -o coloured/",
            'photo.jpg --caption "a red car before a blue sky"',
            "photo.jpg --reference another.jpg",
            "photo.jpg --hints hints.json",
            "infrared.png --method nirnet",
            "clip.mp4",
            "frames/ --frames 24")
    p.add_argument("pictures", nargs="+", metavar="file", help="pictures, clips (MP4, MOV, MKV, WebM, AVI, moving GIF) or folders of them")
    p.add_argument("-o", "--output", help="output file (one input) or folder; default: NAME_colorized beside each input; what had that name is replaced")
    p.add_argument("--method", default="best", help="see `python -m colorlib list` (default: the best automatic one, or the best for the condition given)")
    p.add_argument("--hints", help="a JSON file: what the hint picker saves, or a list of [row, column, colour] such as [[120, 340, \"steelblue\"]]")
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
    add_device(p)
    p.add_argument("--precision", default="32-true", choices=("32-true", "bf16"),
                   help="bf16: in the layers where no value of a picture moves by more than one level")
    p.add_argument("--compile", action="store_true", help="torch.compile the network: worth it for many pictures")


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


def add_list(commands):
    p = add(commands, "list", run_list, "the catalogue of methods",
            "", "--json")
    p.add_argument("--json", action="store_true", help="for programs")


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


def add_export(commands):
    p = add(commands, "export", run_export, "write a method's network as an ONNX file",
            "siggraph17 -o siggraph17.onnx")
    p.add_argument("method", help="a name of `python -m colorlib list`")
    p.add_argument("-o", "--output", help="the file (default: METHOD.onnx)")
    p.add_argument("--weights", help="a .safetensors file instead of the shipped weights")


def run_export(options):
    from colorlib import export
    try:
        print(export.export_onnx(options.method, options.output or f"{options.method}.onnx", options.weights))
    except ImportError as error:
        raise ValueError(str(error)) from None


def add_convert(commands):
    p = add(commands, "convert", run_convert, "turn a PyTorch checkpoint (.pth) into weights that --weights takes; code in it is not run",
            "OLD.pth --method siggraph17 --config caffe")
    p.add_argument("checkpoint", help="the file")
    p.add_argument("--method", help="whose weights they are, where several methods share a network; squeezenet1_1_caffe for the classifier")
    p.add_argument("-o", "--output", help="the .safetensors file (default: beside the checkpoint)")
    p.add_argument("--entry", help="which of several networks in the file, such as netG")
    p.add_argument("--config", help="which settings, where several fit: smoke, class, paper; of authors' files released, caffe, paper_probable")


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
