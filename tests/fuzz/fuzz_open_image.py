"""Coverage-guided fuzzing of the image opener: whatever the bytes are, a picture or one sentence, and nothing on stderr.

Not part of the tests. atheris finds inputs (https://github.com/google/atheris), libFuzzer's options follow the folders of inputs:

    pip install atheris
    python tests/fuzz/fuzz_open_image.py --seed /tmp/seeds                                             # small files of every kind, to start from
    python tests/fuzz/fuzz_open_image.py /tmp/found tests/fuzz/corpus /tmp/seeds -max_len=4096 -timeout=10 -rss_limit_mb=2048 -max_total_time=1200

The first folder takes what is found. An input that fails is written as `crash-...` or `timeout-...` into the working folder: mend the opener, and keep
the input in tests/fuzz/corpus, named by the first 16 digits of its SHA-1. The other files there are the smallest found for each sentence and each kind
of picture. `pytest tests/robustness` replays them.
"""
import io
import os
import sys
import tempfile
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
MAX_PIXELS = 1 << 20         # of a fuzzed picture: seconds would be wasted on larger ones


def check(data):
    """Open bytes as a file; returns the `Picture`, or the sentence. Raises AssertionError, or what the opener let through."""
    from colorlib.images.reading import open_image
    try:
        picture = open_image(io.BytesIO(data), max_pixels=MAX_PIXELS)
    except ValueError as error:
        sentence = str(error)
        assert type(error) is ValueError and sentence.startswith("The picture in memory ") and sentence.endswith(".") and sentence.isprintable(), repr(error)
        return sentence
    rgb, alpha = picture.rgb, picture.alpha
    assert rgb.ndim == 3 and rgb.shape[2] == 3 and 0 < rgb.size <= 3 * MAX_PIXELS and rgb.dtype in ("uint8", "uint16") and rgb.flags.c_contiguous
    assert alpha is None or alpha.shape == rgb.shape[:2] and alpha.dtype == rgb.dtype
    assert isinstance(picture.exif, bytes)
    return picture


def main():
    import atheris
    with atheris.instrument_imports(include=["PIL", "colorlib.images.reading"]):
        from PIL import Image

        import colorlib.images.reading          # noqa: F401
        Image.init()
    warnings.simplefilter("error")
    noise, stderr = tempfile.TemporaryFile(), os.dup(2)

    def one(data):
        os.dup2(noise.fileno(), 2)
        try:
            check(data)
        finally:
            os.dup2(stderr, 2)
        assert not os.fstat(noise.fileno()).st_size, "a library wrote on stderr"
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


def seed(folder):
    """Write the small files that the tests open."""
    from tests.robustness.test_hostile_pictures import CONTAINERS
    from tests.test_images import CASES
    Path(folder).mkdir(parents=True, exist_ok=True)
    for number, (content, *_) in enumerate([*CASES.values(), *CONTAINERS.values()]):
        if len(content) <= 4096:
            (Path(folder) / f"{number:03}").write_bytes(content)


if __name__ == "__main__":
    seed(sys.argv[2]) if sys.argv[1:2] == ["--seed"] else main()
