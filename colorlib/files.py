"""Writing a file so that nobody ever sees half of it."""
import os
import shutil
import uuid
from pathlib import Path


def write_atomic(path, content):
    """Write bytes so that a reader sees the old file or the new one, never half of it. Keeps the file's permissions."""
    path = Path(path)
    scratch = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(scratch, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, scratch)
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)
