"""The commands that make what readers see: `reproduce`, `sheet`, `cards`."""
from colorlib.commands.shared import add, add_device, add_size, count, tell

__all__ = []      # for the command line alone


def add_reproduce(commands):
    p = add(commands, "reproduce", run_reproduce, "train what has no weights, measure, write tables and figures; what is done is not repeated",
            "all --size smoke",
            "gray2color --size class",
            "survey --size class")
    p.add_argument("method", nargs="?", default="all",
                   help="a method; survey: tables and figures of several, from what was measured; all, the default: every method, leaderboard, conditions, survey")
    add_size(p)
    p.add_argument("--data", help="as for train")
    p.add_argument("--limit", type=count, help="at most so many test pictures")
    p.add_argument("--again", action="store_true", help="also what was finished before")
    p.add_argument("--workers", type=count, help="processes at a time, for all (default: one a core, at most 4; one on a GPU)")
    p.add_argument("--photos", help="a folder with portraits, landscapes, legacy inside, for the figures that show them (default: scikit-image's)")
    add_device(p)


def run_reproduce(options):
    from colorlib.experiments import reproduction
    tell(reproduction.reproduce(options.method, options.size, options.data, limit=options.limit, device=options.device, photos=options.photos,
                                again=options.again, workers=options.workers))


def add_sheet(commands):
    p = add(commands, "sheet", run_sheet, "a method's pictures unchosen: some by lot, and the worst",
            "photonet --size class --data imagenette")
    p.add_argument("method", help="a name of `python -m colorlib list`")
    add_size(p)
    p.add_argument("--data", default="scenes", help="as for evaluate (default scenes); of methods for clips a folder of clips")
    p.add_argument("--split", default="val", choices=("val", "all", "legacy"), help="all: of a folder, every picture in it; legacy: see evaluate")
    p.add_argument("--weights", help="a .safetensors file (default: the shipped ones of this size)")
    p.add_argument("--limit", type=count, help="look among so many test pictures (default 200)")
    add_device(p)


def run_sheet(options):
    from colorlib.figures import contact_sheets
    path, gain, worse = contact_sheets.draw(options.method, options.size, options.data, options.weights, options.limit or contact_sheets.SEARCHED,
                                             options.device, split=options.split)
    print(f"{path}\n{gain:+.2f} dB to pictures left as they are given; worse than these: {100 * worse:.0f} %")


def add_cards(commands):
    add(commands, "cards", run_cards, "write the model cards beside the shipped weights anew",
            "")


def run_cards(options):
    from colorlib.results import model_cards
    for path in model_cards.write():
        print(path)
