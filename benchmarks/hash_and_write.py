"""``python -m benchmarks.hash_and_write SOURCE TARGET [--ahead]``: the baseline of a local push and pull.

It does what neither can do without, and nothing else: read a file, hash it on one thread, write it on another to a new
file, and fsync that. Its buffers are reused. With ``--ahead``, Linux starts to write each piece to the disk at once.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from queue import SimpleQueue

from mreg.files import write_all
from mreg.linux import begin_sync

CHUNK_BYTES = 1 << 20
BUFFERS = 8


def hash_and_write(source: str, target: str, *, ahead: bool) -> str:
    """Return the SHA-256 in hex digits."""
    free: SimpleQueue[memoryview] = SimpleQueue()
    filled: SimpleQueue[tuple[memoryview, int] | None] = SimpleQueue()
    for _ in range(BUFFERS):
        free.put(memoryview(bytearray(CHUNK_BYTES)))
    found = hashlib.sha256()

    def hashing() -> None:
        while (piece := filled.get()) is not None:
            buffer, count = piece
            found.update(buffer[:count])
            free.put(buffer)

    thread = threading.Thread(target=hashing)
    thread.start()
    with open(source, "rb", buffering=0) as reading, open(target, "xb", buffering=0) as writing:
        position = 0
        while count := reading.readinto(buffer := free.get()):
            filled.put((buffer, count))
            write_all(writing.fileno(), buffer[:count])
            if ahead:
                begin_sync(writing.fileno(), position, count)
            position += count
        os.fsync(writing.fileno())
    filled.put(None)
    thread.join()
    return found.hexdigest()


if __name__ == "__main__":
    print(hash_and_write(sys.argv[1], sys.argv[2], ahead="--ahead" in sys.argv[3:]))
