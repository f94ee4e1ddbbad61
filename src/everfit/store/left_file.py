"""Reading of files that confined code has left, which may be links, pipes without a writer, or without end."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read_left_file(path: Path, *, last_bytes: int) -> bytes:
    """Return the end of a regular file; never follow a link, and never wait.

    Raises :class:`OSError` if there is none, or anything else in its place.
    """
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "must be a regular file", str(path))
        content = b""
        begin = max(status.st_size - last_bytes, 0)
        while len(content) < last_bytes and (part := os.pread(number, last_bytes - len(content), begin + len(content))):
            content += part
        return content
    finally:
        os.close(number)
