"""Train the networks of Kandinsky, nano here and full size on a cluster: `python -m training --help`.

The first five recipes make kandinsky-nano and run in this order: text-encoder, then text-to-image and autoencoder side by side,
then encoder and decoder, then export. The others build upon a family's finished weights, or on nothing.
`torchrun --nproc-per-node 2 -m training RECIPE`, or `accelerate launch -m training RECIPE`, spreads one over processes.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from training.data import DataError
from training.loop import Run, Warm, Written, load_average
from training.recipes import RECIPES, Wishes, filters_of
from training.sources import NANO, open_source

PACKAGE = Path(__file__).parents[1] / "engine" / "data" / "kandinsky-nano"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "kandinsky-bot" / "training" / "nano"
_FILTERS = ("min_side", "max_aspect", "captioned", "least_aesthetics", "aesthetics_by", "least_match", "match_by", "duplicates")


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    try:
        {"export": _export, "data": _report}.get(options.recipe, _train)(options)
    except DataError as error:
        sys.exit(f"{error}")


def _train(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    device, autocast = _place(options.device)
    recipe = RECIPES[options.recipe].build(_wishes(options, device))
    if options.write:
        if not isinstance(recipe, Written):
            raise DataError(f"What {recipe.name} makes is written by: python -m training export.")
        steps = load_average(options.cache, recipe.name, recipe.trained)
        _print_sums(recipe.write(options.write, steps))
        return
    recipe.schedule = replace(recipe.schedule, **_given(options, "steps", "learning_rate", "batch", "accumulate"))
    if options.begin_with:  # a checkpoint, if there is one, goes before
        if not isinstance(recipe, Warm):
            raise DataError(f"{recipe.name} begins with the weights of --family; leave --begin-with out.")
        print(f"new: {', '.join(recipe.begin_with(options.begin_with)) or 'nothing'}", flush=True)
    run = Run(
        recipe,
        options.cache,
        options.seed,
        options.save_every,
        say=lambda line: print(line, flush=True),
        logs=True,
        show_every=options.show_every,
        device=device,
        autocast=autocast,
    )
    run.go_on(minutes=options.minutes)
    if dist.is_initialized():
        dist.destroy_process_group()


def _place(device: str) -> tuple[torch.device, Callable[[], AbstractContextManager[Any]]]:
    """The device of this process, and the precision that `accelerate launch --mixed_precision` asks for.

    Accelerate finds the processes, whoever launched them; the averaging is the loop's own, since its numbers must not depend on
    how a library lays out its buckets.
    """
    if device == "cpu" and int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return torch.device("cpu"), nullcontext  # without the seconds that importing accelerate takes
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=device == "cpu")
    return accelerator.device, accelerator.autocast


def _wishes(options: argparse.Namespace, device: torch.device) -> Wishes:
    if not RECIPES[options.recipe].full:
        return Wishes(options.cache, device=device)
    chosen = _given(options, *(name for name in ("stage", "loss") if name in options))
    return Wishes(
        options.cache,
        options.preset,
        options.data,
        options.family,
        options.weights,
        trigger=options.trigger,
        filters=_given(options, *_FILTERS),
        device=device,
        say=lambda line: print(line, flush=True),
        **chosen,
    )


def _export(options: argparse.Namespace) -> None:
    from training.export import export

    _print_sums(export(options.cache, options.to))


def _print_sums(sums: Mapping[str, str]) -> None:
    for name, checksum in sums.items():
        print(name, checksum)


def _report(options: argparse.Namespace) -> None:
    from training.recipes import filtered

    source = open_source(options.source, options.cache)
    wanted = _given(options, *_FILTERS)
    filters_of(wanted)
    filtered(source, options.source, wanted, options.cache, print)


def _given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description="Train the networks of Kandinsky, nano or full size.")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of checkpoints, logs and sheets (%(default)s)")
    recipes = parser.add_subparsers(dest="recipe", required=True, metavar="RECIPE")
    for name, entry in RECIPES.items():
        one = recipes.add_parser(name, help=entry.about, description=entry.about)
        _add_run(one)
        if entry.full:
            _add_full(one, entry.presets)
            _add_filters(one)
    recipes.choices["text-to-image"].add_argument("--stage", type=int, help="of the presets beside nano, from 1 on")
    recipes.choices["flash"].add_argument("--loss", choices=("wasserstein", "hinge"), help="of the critic (wasserstein)")
    text = "Write the averaged weights of the first five as the family folder that the engine loads."
    one = recipes.add_parser("export", help=text, description=text)
    one.add_argument("--cache", type=Path, default=argparse.SUPPRESS, help="folder of checkpoints, logs and sheets")
    one.add_argument("--to", type=Path, default=PACKAGE, help="the family's folder (the packaged one)")
    text = "Filter a source of pictures, and say what each filter removed; a run with the same filters then has what is kept."
    one = recipes.add_parser("data", help=text, description=text)
    one.add_argument("source", help="nano, a folder of pictures, or tars: 'part-{0000..0127}.tar'")
    one.add_argument("--cache", type=Path, default=argparse.SUPPRESS, help="folder that keeps what was found")
    _add_filters(one)
    return parser


def _add_run(one: argparse.ArgumentParser) -> None:
    one.add_argument("--cache", type=Path, default=argparse.SUPPRESS, help="folder of checkpoints, logs and sheets")
    one.add_argument("--minutes", type=float, default=float("inf"), help="stop after so long; run again to go on")
    one.add_argument("--steps", type=int, help="length of the schedule")
    one.add_argument("--learning-rate", type=float)
    one.add_argument("--batch", type=int, help="examples per step, over all processes")
    one.add_argument("--accumulate", type=int, help="parts in which a process takes its share of a batch")
    one.add_argument(
        "--begin-with", type=Path, metavar="FOLDER", help="a family's folder, the weights of which the recipe starts from"
    )
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--save-every", type=float, default=60.0, help="seconds between checkpoints (%(default)s)")
    one.add_argument("--show-every", type=int, default=500, help="steps between sheets of samples, 0 for none (%(default)s)")
    one.add_argument("--threads", type=int, default=1, help="torch threads per process (%(default)s)")
    one.add_argument("--device", choices=("cpu", "auto"), default="cpu", help="auto takes an accelerator (%(default)s)")
    one.add_argument("--write", type=Path, metavar="FOLDER", help="do not train: write the averaged weights for the engine")


def _add_full(one: argparse.ArgumentParser, presets: Sequence[str]) -> None:
    one.add_argument("--preset", choices=presets, default=NANO, help="sizes and settings (%(default)s)")
    one.add_argument("--data", default="", help="nano, a folder of pictures, or tars; the recipe's own if not given")
    one.add_argument("--family", default="kandinsky-nano", help="whose weights it builds upon (%(default)s)")
    one.add_argument("--weights", type=Path, help="that family's folder, if not the usual one")
    one.add_argument("--trigger", default="", help="word that calls what a LoRA learns")


def _add_filters(one: argparse.ArgumentParser) -> None:
    group = one.add_argument_group("filters")
    group.add_argument("--min-side", type=int, help="least pixels of both sides")
    group.add_argument("--max-aspect", type=float, help="longer side over shorter side, at most")
    group.add_argument("--captioned", action="store_const", const=1, help="at least one caption with words")
    group.add_argument("--least-aesthetics", type=float, help="score of each picture's notes, or of --aesthetics-by")
    group.add_argument("--aesthetics-by", metavar="MODULE:FUNCTION", help="what scores an example")
    group.add_argument("--least-match", type=float, help="how well caption and picture match, as above")
    group.add_argument("--match-by", metavar="MODULE:FUNCTION")
    group.add_argument("--duplicates", action="store_const", const=1, help="leave out what looks like an earlier picture")


if __name__ == "__main__":
    main()
