"""`kandinsky-bot weights`: what is published, what is here, fetching, converting, verifying."""

import argparse
from pathlib import Path
from typing import Any

_DTYPES = ("float32", "float16", "bfloat16")


def add_weights(commands: Any) -> None:
    """Add the command with its four parts."""
    weights = commands.add_parser("weights", help="list, fetch, convert and verify weights")
    parts = weights.add_subparsers(required=True, metavar="list|fetch|convert|verify")

    parts.add_parser("list", help="families, what their parts weigh, licences, what is here").set_defaults(run=_list)

    fetch = parts.add_parser("fetch", help="download a family's weights and convert them")
    fetch.add_argument("family")
    fetch.add_argument("--lanes", default="", help="only what these need, with commas; flash alone needs a third")
    fetch.add_argument("--revision", help="of the repositories (default: that of the lock, else the newest, which is then kept)")
    fetch.set_defaults(run=_fetch)

    convert = parts.add_parser("convert", help="turn a published checkpoint into a part of a family's folder")
    convert.add_argument("source", metavar="SRC", type=Path, help="a file, or a folder with the shards of one network")
    convert.add_argument("folder", metavar="DST", type=Path, help="the family's folder")
    convert.add_argument("--kind", help="what it is, if names do not tell; a wrong one names them all")
    convert.set_defaults(run=_convert)

    verify = parts.add_parser("verify", help="compare every file with the lock")
    verify.add_argument("family", nargs="?", help="(default: all that are here)")
    verify.set_defaults(run=_verify)
    for command in (fetch, convert):
        command.add_argument("--dtype", choices=_DTYPES, help="of the copy (default: as published)")
    for command in (fetch, verify):
        command.add_argument("--folder", type=Path, help="of the family (default: where workers look)")


def _list(options: argparse.Namespace) -> int:
    from engine import catalog
    from engine.sources import SOURCES

    for family in catalog.families():
        sources = SOURCES[family.name]
        here = "here" if catalog.available(family.name) else "not here"
        total = sum(source.gigabytes for source in sources)
        size = f"{total:.1f} GB to download" if sources else ("in the package" if family.weights == "package" else family.mend)
        print(f"{family.name}: {here}; {size}; {family.licence}")
        for source in sources:
            lanes = ",".join(source.lanes)
            print(f"  {source.gigabytes:6.1f} GB  {source.kind:<26}{source.repository:<44}{source.licence:<26}{lanes}")
    return 0


def _fetch(options: argparse.Namespace) -> int:
    from engine.fetching import fetch

    lanes = [lane for lane in options.lanes.split(",") if lane]
    lock = fetch(options.family, lanes, _say, options.folder, dtype=_dtype(options.dtype), revision=options.revision)
    _say(f"{options.family}: {len(lock.files)} files, held by the lock")
    return 0


def _convert(options: argparse.Namespace) -> int:
    from engine import lock
    from engine.conversion.kinds import convert

    kind, written = convert(options.source, options.folder, options.kind, _dtype(options.dtype))
    if (options.folder / lock.NAME).is_file():  # what is locked and changed on purpose is locked anew
        family = lock.family_of(options.folder)
        lock.read(options.folder, family).with_files(options.folder, written).write(options.folder)
    _say(f"{options.source}: {kind.name} ({kind.what}), written to {', '.join(str(part) for part in written)}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    from engine import catalog
    from engine.lock import faults

    names = [options.family] if options.family else [each.name for each in catalog.families() if catalog.available(each.name)]
    wrong = 0
    for name in names:
        folder = options.folder or catalog.weights_folder(name)
        found, said = faults(folder, catalog.family(name))
        wrong += len(found)
        for each in found:
            _say(each)
        _say(f"{name}: {said}" if not found else f"{name}: {len(found)} to mend; {catalog.family(name).mend}")
    return 1 if wrong else 0


def _dtype(name: str | None) -> Any:
    import torch

    return getattr(torch, name) if name else None


def _say(line: str) -> None:
    print(line, flush=True)
