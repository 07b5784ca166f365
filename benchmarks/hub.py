"""``python hub.py ENDPOINT``: seconds of one download by huggingface_hub, for `benchmarks.server`.

It runs in an environment with huggingface_hub alone, and must not import from `benchmarks`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = "big"
FILE = "model.bin"


def seconds_from(python: Path, port: int) -> float:
    """Return the seconds of a download of `FILE` from a server on this machine.

    Args:
        python: The Python of an environment with huggingface_hub.
    """
    command = [str(python), __file__, f"http://127.0.0.1:{port}"]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Download once into a new cache, and print the seconds."""
    from huggingface_hub import hf_hub_download, utils  # type: ignore[import-not-found,unused-ignore]

    utils.disable_progress_bars()
    cache = tempfile.mkdtemp()
    try:
        began = time.perf_counter()
        hf_hub_download(REPOSITORY, FILE, endpoint=sys.argv[1], cache_dir=cache)
        print(time.perf_counter() - began)
    finally:
        shutil.rmtree(cache)


if __name__ == "__main__":
    main()
