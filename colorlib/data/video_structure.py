"""Whether a video file is whole, from its outermost structure alone: nothing is decoded."""
import os
import struct

__all__ = ["inspect", "NO_INDEX"]

NO_INDEX = "its index is missing"       # without it not one frame of an MP4 can be found


def inspect(path):
    """(what shows that a file was cut short, or None; pictures of a GIF, else 0), from its outermost structure alone. Knows
    MP4 and QuickTime, Matroska and WebM, AVI, GIF.

    >>> with open("half.mp4", "wb") as file:
    ...     length = file.write(struct.pack(">I4s", 16, b"ftyp") + bytes(8) + struct.pack(">I4s", 9000, b"mdat"))
    >>> inspect("half.mp4")
    ('its index is missing', 0)
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(64)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            return _inspect_boxes(file, size), 0
        if head[:4] == b"\x1aE\xdf\xa3":
            return _inspect_matroska(head, size), 0
        if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
            length = struct.unpack("<I", head[4:8])[0]
            return (f"{size:,} bytes of {length + 8:,}" if length + 8 > size else None), 0
        if head[:4] == b"GIF8":
            return _inspect_gif(file, head)
    return None, 0


def _inspect_boxes(file, size):
    """MP4: boxes of (length, name), one after the other; an index, moov, among them."""
    place, names = 0, set()
    while place + 8 <= size:
        file.seek(place)
        length, name = struct.unpack(">I4s", file.read(8))
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
        length = length or size - place
        if length < 8:
            return "its structure is broken"
        if place + length > size:
            return f"{size:,} bytes of {place + length:,}" if b"moov" in names else NO_INDEX
        names.add(name)
        place += length
    return None if b"moov" in names else NO_INDEX


def _inspect_matroska(head, size):
    """Matroska: an EBML header, then one segment; lengths are numbers whose leading zero bits tell how many bytes follow."""
    def number(place):
        count = 9 - head[place].bit_length()
        value = int.from_bytes(head[place:place + count], "big") & (1 << 7 * count) - 1
        return place + count, None if value == (1 << 7 * count) - 1 else value       # all ones: nobody knew
    place, length = number(4)
    place += length or 0
    if head[place:place + 4] != b"\x18S\x80g":
        return None
    place, length = number(place + 4)
    return f"{size:,} bytes of {place + length:,}" if length is not None and place + length > size else None


def _inspect_gif(file, head):
    """GIF: blocks, their contents in chains of at most 255 bytes, and an end mark."""
    def skip_table(flags):
        file.seek(3 << (flags & 7) + 1 if flags & 0x80 else 0, os.SEEK_CUR)

    def skip_chain():
        while length := file.read(1)[0]:
            file.seek(length, os.SEEK_CUR)
    pictures = 0
    file.seek(13)
    try:
        skip_table(head[10])
        while (mark := file.read(1)[0]) != 0x3B:
            if mark == 0x21:
                file.seek(1, os.SEEK_CUR)
            elif mark == 0x2C:
                skip_table(file.read(9)[8])
                file.seek(1, os.SEEK_CUR)
            else:
                return "its structure is broken", pictures
            skip_chain()
            pictures += mark == 0x2C
    except IndexError:                                         # the end of the file
        return "it has no end mark", pictures
    return None, pictures
