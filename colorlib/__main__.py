"""The command line: `python -m colorlib` says what there is, `python -m colorlib COMMAND --help` how to use it. `colorlib.commands` holds the commands."""
import os
import sys
import threading
import time
import warnings

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")      # before torch: on a busy machine its threads otherwise spin, up to thirty times slower

from colorlib import __version__  # noqa: E402
from colorlib.commands import measuring, painting, reproducing, training  # noqa: E402
from colorlib.commands.shared import Parser, end_with, say  # noqa: E402

PROGRAM = "python -m colorlib"
GROUPS = {      # title: the commands under it, in the order of the help
    "colour": (painting.add_colorize, painting.add_list, painting.add_export, painting.add_convert),
    "train and measure": (measuring.add_data, training.add_train, measuring.add_evaluate, measuring.add_score, measuring.add_certify, reproducing.add_sheet),
    "compare": (measuring.add_leaderboard, measuring.add_conditions, measuring.add_sources, training.add_ablate, training.add_tune, training.add_misregister,
                training.add_leak, measuring.add_bench),
    "make what readers see": (reproducing.add_reproduce, reproducing.add_cards),
}
PAGE = """\
usage: {program} COMMAND ...     {program} COMMAND --help tells the arguments of one, with examples

Colour photographs and clips, train the methods, reproduce the papers.
{commands}

examples:
  {program} colorize photo.jpg                    writes photo_colorized.jpg beside it
  {program} colorize photo.jpg --caption "a red car"
  {program} list                                  the methods, what each needs and where it comes from
  {program} train koalarization                   a minute, on any computer; an interrupted training goes on
  {program} evaluate koalarization --data photos/

Rows go to data/results, trainings to runs/. --version tells the version.
COLORLIB_SIZE names a size (smoke, class, paper), COLORLIB_OFFLINE=1 forbids downloads.
"""


class Commands:
    """What the groups add their commands to."""

    def __init__(self, parser):
        self.prog, self.parsers, self.sentences = parser.prog, parser.add_subparsers(dest="command", metavar="COMMAND", prog=parser.prog), {}


def make_parser():
    """The parser of all commands; its help lists them in groups."""
    parser = Parser(prog=PROGRAM)
    parser.add_argument("--version", action="version", version=f"colorlib {__version__}")
    commands, pages = Commands(parser), []
    for title, group in GROUPS.items():
        first = len(commands.sentences)
        for add in group:
            add(commands)
        pages += [f"\n{title}:", *(f"  {name:<13}{sentence}" for name, sentence in list(commands.sentences.items())[first:])]
    page = PAGE.format(program=PROGRAM, commands="\n".join(pages))
    parser.format_help = lambda: page
    return parser


def parse(arguments=None):
    """The options of one command, its function in `perform`. Ends the program with one sentence where they make no sense."""
    parser = make_parser()
    options, unknown = parser.parse_known_args(arguments)
    if options.command is None:
        parser.print_help(sys.stderr)
        parser.exit(2)
    if unknown:
        options.parser.refuse(unknown)
    return options


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
        return options.perform(options) or 0
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


if __name__ == "__main__":
    sys.exit(main())
