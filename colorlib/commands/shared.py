"""What the commands share: a parser that complains in one sentence, number types, arguments that several commands take, and how a sentence is said."""
import argparse
import ast
import difflib
import functools
import os
import re
import sys
import time

__all__ = []      # for the command line alone


class Parser(argparse.ArgumentParser):
    """One that says what is wrong in a sentence, as everything here does."""

    def error(self, message):
        if meant := re.match(r"argument COMMAND: invalid choice: '(.*?)' \(choose from (.*)\)", message):
            word, known = meant[1], re.findall(r"[\w-]+", meant[2])
            message = f"there is no command {word!r}{guess(word, known)}"
        self.exit(2, f"colorlib: {message}{';' if message[-1] != '?' else ''} see `{self.prog} --help`.\n")

    def refuse(self, arguments):
        """End the program, with the sentence on arguments that nobody asked for."""
        known = [text for action in self._actions for text in action.option_strings]
        self.error(f"unrecognized arguments: {' '.join(arguments)}{guess(arguments[0].partition('=')[0], known)}")


def guess(word, known):
    """", do you mean ...?" with the known word that is spelt most alike; "" where none is."""
    return "".join(f", do you mean {name}?" for name in difflib.get_close_matches(word, known, 1))


def add(commands, name, run, sentence, *examples):
    """The parser of a command, to which its arguments are then added. sentence: what it does; examples: what a person may type after its name."""
    lines = [f"  {commands.prog} {name} {example}".rstrip() for example in examples]
    p = commands.parsers.add_parser(name, description=f"{sentence[0].upper()}{sentence[1:]}.", formatter_class=argparse.RawDescriptionHelpFormatter,
                                    epilog="\n".join(["examples:", *lines]))
    p.set_defaults(perform=run, parser=p)
    commands.sentences[name] = sentence
    return p


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


def add_device(parser):
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")


def add_precision(parser):
    parser.add_argument("--precision", choices=("32-true", "bf16-mixed", "16-mixed", "bf16-true", "64-true"),
                        help="default: bf16-mixed on a GPU that has it, else 32-true")


def add_trainings(parser):
    """What commands that train several times share."""
    parser.add_argument("--run", default="runs", help="folder for the trainings (default runs)")
    add_device(parser)
    add_precision(parser)


def add_geometry(parser):
    parser.add_argument("--geometry", default="crop", choices=("crop", "squash"), help="legacy, in a folder: the central square, or aspect not kept")
    parser.add_argument("--kernel", default="pil bilinear",
                        help="legacy, in a folder: how pictures become 256 px, such as 'pil bilinear' (CT2's) or 'cv2 bilinear' (DDColor's)")


def add_settings(parser):
    parser.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE",
                        help="other values for fields of the paper's Config, such as attention_weight=0")


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


def say(sentence):
    """One line on stderr, whatever a file in it is called."""
    from colorlib.files import printable
    print(f"colorlib: {printable(sentence)}", file=sys.stderr)


def tell(lines):
    """Print the lines of a long command one by one, as they come, also into a pipe."""
    for line in lines:
        print(line, flush=True)


def end_with(parent):
    """End this process when the one that started it is gone, however it went; for the processes of `reproduce all` and of parallel trainings."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
