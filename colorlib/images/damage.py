"""Damage that decoders keep to themselves, and sizes that a file declares where they do not look: asked before pixels are decoded.

A JPEG whose scan was overwritten, a PNG whose pixels no longer match their checksum, would else come back half grey or with strange colours, as if they
were whole.
"""
import ctypes
import logging
import re
import struct
import zlib

from PIL import Image, PngImagePlugin

__all__ = []                 # `colorlib.images.reading` asks

PNG_CHUNKS = 100_000         # more than any writer makes; each costs Pillow some time
TIFF_TAGS = 1000             # of a directory, and numbers in one of its tags
DEFLATE = 8, 32946           # TIFF's two numbers of it
PIXEL_BYTES = 16             # of the largest pixel that can be read
PIECE = 1 << 20              # bytes inflated at a time
ZEROS = bytes(16)            # more than a JPEG's pixels ever hold in a row, but for flat areas
MARKER = re.compile(rb"\xff[^\0\xd0-\xd7\xff]")               # in a JPEG's pixels: what ends them
PIXEL_CHUNKS = b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"
YCC_BOX = re.compile(rb"colr\x01..\0\0\0\x12", re.DOTALL)       # of JPEG 2000
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def find_png(data):
    """What is wrong with a PNG, in words, or "": a chunk that says what the pixels are and does not match its checksum, or the last chunk missing."""
    for count, (kind, start, end) in enumerate(_png_chunks(data)):
        if count == PNG_CHUNKS:
            return f"it has more than {PNG_CHUNKS:,} parts"
        if kind in PIXEL_CHUNKS and zlib.crc32(data[start + 4:end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            return f"a checksum does not fit, at byte {start}"
        if kind == b"IEND":
            return ""
    return "its end is missing"


def bare_png(data):
    """A PNG without what is not about its pixels: of the rest, libpng reports each oddity on stderr."""
    return PNG_MAGIC + b"".join(data[start:end] for kind, start, end in _png_chunks(data) if kind in PIXEL_CHUNKS)


def _png_chunks(data):
    """(kind, start, end) of each whole chunk."""
    at = len(PNG_MAGIC)
    while at + 12 <= len(data) and (end := at + 12 + struct.unpack_from(">I", data, at)[0]) <= len(data):
        yield bytes(data[at + 4:at + 8]), at, end
        at = end


def find_jpeg(data, size):
    """What is wrong with a JPEG's pixels, in words, or "". libjpeg fills what it cannot make out with grey and goes on; ffmpeg can be asked to stop there.

    size: (width, height). What ffmpeg cannot read at all, such as arithmetic coding, passes; of files it can read it refused none of 14,690 whole photographs.
    """
    if data.endswith(ZEROS) and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):      # a start of pixels, no end, and zeros, which pass for pixels
        return "its end is missing"
    if _lost_to_zeros(data):
        return "a part of its pixels was overwritten with zeros"
    if _decode_jpeg(data, "explode"):
        return ""
    if _decode_jpeg(data, "ignore_err"):
        return "a part of its pixels cannot be made out"
    return "it is too short for its size" if 8 * len(data) < -(-size[0] // 8) * -(-size[1] // 8) else ""      # 8 x 8 pixels take a bit at the least


def _lost_to_zeros(data):
    """Whether zeros lie in the first scan of a sequential JPEG where none can be: flat areas are zeros only if the shortest code ends a block, any other
    would repeat one coefficient through all of it."""
    at, shortest = 2, {}                                             # {number of a table: its first symbol}
    while data[at:at + 1] == b"\xff" and at + 5 <= len(data):
        kind, end = data[at + 1], at + 2 + int.from_bytes(data[at + 2:at + 4], "big")
        if kind == 0xC2 or end > len(data):                          # progressive: some of its scans are bits as they come
            return False
        if kind == 0xDA:
            tables = data[at + 6:at + 6 + 2 * data[at + 4]:2]
            after = MARKER.search(data, end)
            return any(shortest.get(16 + (table & 15), 0) & 15 for table in tables) and data.find(ZEROS, end, after.start() if after else None) >= 0
        table = at + 4
        while kind == 0xC4 and table + 17 < end:                     # its kind and number, 16 counts, the symbols
            shortest[data[table]] = data[table + 17]
            table += 17 + sum(data[table + 1:table + 17])
        at = at + 1 if kind == 0xFF else end
    return False


def _decode_jpeg(data, strictness):
    import av                          # late: it loads all of ffmpeg
    decoder = av.CodecContext.create("mjpeg", "r")
    decoder.thread_count, decoder.options = 1, {"err_detect": strictness}
    try:
        return bool(decoder.decode(av.Packet(data)))
    except (av.FFmpegError, ValueError):
        return False


def find_tiff(tags, file):
    """What is wrong with a TIFF's deflated pixels, in words, or "". libtiff stops where it has all pixels, before the checksum. tags: Pillow's."""
    if tags.get(259) not in DEFLATE or tags.get(266, 1) != 1:
        return ""
    where, lengths = (324, 325) if 324 in tags else (273, 279)
    room = PIXEL_BYTES * tags[256] * tags[257]                       # a strip may hold far more than its pixels
    for start, left in zip(tags.get(where, ()), tags.get(lengths, ())):
        file.seek(start)
        decoder = zlib.decompressobj()
        try:
            while not decoder.eof and room > 0:
                if not (piece := decoder.unconsumed_tail):
                    piece = file.read(min(left, PIECE))
                    left -= len(piece)
                if not piece:
                    break
                room -= len(decoder.decompress(piece, PIECE))
        except zlib.error:
            return f"a checksum does not fit, after byte {start}"
    return ""


def webp_size(head):
    """(width, height) of a WebP file, from its first 30 bytes; its decoder takes memory for all pixels before it tells. (0, 0) where they do not say."""
    kind, body = head[12:16], head[20:30].ljust(10, b"\0")
    if kind == b"VP8X":
        return tuple(1 + int.from_bytes(body[at:at + 3], "little") for at in (4, 7))
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return tuple(int.from_bytes(body[at:at + 2], "little") & 0x3FFF for at in (6, 8)) if kind == b"VP8 " else (0, 0)


def read_jpeg2000(file):
    """(the most bits that a colour of a JPEG 2000 picture has, whether its colours are YCC, whether some are kept at a smaller size)."""
    file.seek(0)
    data = file.read()
    start = data.find(b"\xff\x4f\xff\x51")                     # SIZ, 40 bytes, number of channels, (bits, step x, step y) of each
    if start < 0 or len(data) < start + 45:
        return 8, False, False
    count, = struct.unpack_from(">H", data, start + 40)
    parts = data[start + 42:start + 42 + 3 * max(1, count)]
    return max((depth & 0x7F) + 1 for depth in parts[::3]), bool(YCC_BOX.search(data, 0, start)), parts[1::3] + parts[2::3] != b"\1" * (2 * count)


def icon_size(image, file):
    """The largest (width, height) that the pictures inside an ICO declare; its own table may say less. image: Pillow's; file: the file."""
    sizes = [image.size]
    for entry in image.ico.entry:
        file.seek(entry.offset)
        head = file.read(24).ljust(24, b"\0")
        width, height = struct.unpack_from(">II", head, 16) if head[:8] == PNG_MAGIC else struct.unpack_from("<II", head, 4)
        sizes.append((width, height if head[:8] == PNG_MAGIC else height // 2))
    file.seek(0)
    return max(sizes, key=lambda size: size[0] * size[1])


def tiff_numbers(file):
    """{tag: list of whole numbers} of a TIFF's first directory, of either byte order and either size; {} where there is none that can be read."""
    file.seek(0)
    head, found = file.read(16).ljust(16, b"\0"), {}
    order = "<" if head[:2] == b"II" else ">"
    big = head[2:4] in (b"+\0", b"\0+")
    count, entry, place, room = ("Q", "HHQ", "Q", 8) if big else ("H", "HHI", "I", 4)
    start, = struct.unpack_from(order + place, head, room)
    try:
        file.seek(start)
        number, = struct.unpack(order + count, file.read(struct.calcsize(count)))
        for _ in range(min(number, TIFF_TAGS)):
            tag, kind, length = struct.unpack(order + entry, file.read(struct.calcsize(order + entry)))
            value, layout = file.read(room), {1: "B", 3: "H", 4: "I", 16: "Q"}.get(kind)
            if layout and 0 < length * struct.calcsize(layout) <= room:
                found[tag] = list(struct.unpack_from(f"{order}{length}{layout}", value))
            elif layout and 0 < length <= TIFF_TAGS:
                here = file.tell()
                file.seek(struct.unpack(order + place, value)[0])
                found[tag] = list(struct.unpack(f"{order}{length}{layout}", file.read(length * struct.calcsize(order + layout))))
                file.seek(here)
    except (struct.error, OSError, ValueError, OverflowError):
        return {}
    return found


def drop_false_tags(image):
    """A PNG's text may be called "transparency" or "exif" and then passes for these: take such texts out of the picture's info."""
    if isinstance(image, PngImagePlugin.PngImageFile):
        for name in ("transparency", "exif", "icc_profile", "adobe"):
            if isinstance(image.info.get(name), str):
                del image.info[name]


def silence_decoders():
    """What libtiff and Pillow print of each fault, beside the exception they raise. Where libtiff cannot be reached, as on Windows, it goes on."""
    logging.getLogger("PIL").addHandler(logging.NullHandler())       # without any handler, Python prints what is logged
    try:
        ctypes.CDLL(Image.core.__file__).TIFFSetErrorHandler(None)
    except (AttributeError, OSError, TypeError):
        pass
