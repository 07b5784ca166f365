"""``python -m benchmarks [NAME ...] [--quick] [--peers] [--json FILE]``: each figure beside its limit of the same run.

A figure is a ratio to something measured seconds before or after it on the same machine (an empty Typer app, a process
that only hashes and writes the same bytes, the same query on a small catalog), so that it means the same on a slow
machine. Nothing fails here: the page says ``ok`` or ``over``, and what it says on one day goes into the README with the
machine.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path

from benchmarks import (
    bucket,
    catalog_scale,
    concurrency,
    files,
    imports,
    mlflow_plugin,
    peers,
    remote,
    server,
    serving,
    shared,
    startup,
)
from benchmarks.measure import Figure, workspace

GROUPS = {
    "startup": startup.measure,
    "files": files.measure,
    "bucket": bucket.measure,
    "catalog": catalog_scale.measure,
    "concurrency": concurrency.measure,
    "shared": shared.measure,
    "server": server.measure,
    "remote": remote.measure,
    "serving": serving.measure,
    "imports": imports.measure,
    "mlflow": mlflow_plugin.measure,
}


def main() -> None:
    """Run the chosen groups and print their figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*GROUPS, []], help="groups to run; all by default")
    parser.add_argument("--quick", action="store_true", help="smaller data: to see that the benchmarks run")
    parser.add_argument("--peers", action="store_true", help="the same work on mlflow, dvc and gto where installed")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}", flush=True)
    figures: list[Figure] = []
    with workspace() as folder:
        for name in arguments.names or GROUPS:
            print(f"\n{name}", flush=True)
            for figure in GROUPS[name](folder, quick=arguments.quick):
                print(f"  {figure}", flush=True)
                figures.append(figure)
        if arguments.peers:
            print("\npeers", flush=True)
            for figure in peers.measure(folder, quick=arguments.quick):
                print(f"  {figure}", flush=True)
                figures.append(figure)
    if arguments.json:
        arguments.json.write_text(json.dumps([figure.as_dict() for figure in figures], indent=2) + "\n")
    sys.exit(0)


if __name__ == "__main__":
    main()
