"""Train the networks of kandinsky-nano: `python -m training --help`.

Recipes run in this order: text-encoder, then text-to-image and autoencoder side by side, then encoder and
decoder, then export.
`torchrun --nproc-per-node 2 -m training text-to-image` spreads one recipe over processes.
"""

import argparse
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from training.loop import Recipe, Run

PACKAGE = Path(__file__).parents[1] / "engine" / "data" / "kandinsky-nano"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "kandinsky-bot" / "training" / "nano"


def _text_encoder(cache: Path) -> Recipe:
    """T5 and its tokenizer: read the attributes of a scene from its caption."""
    from training.text_encoder import TextEncoderRecipe

    return TextEncoderRecipe()


def _text_to_image(cache: Path) -> Recipe:
    """UNet, projection and null embedding: draw what a caption says."""
    from training.text_to_image import TextToImageRecipe

    return TextToImageRecipe(cache)


def _autoencoder(cache: Path) -> Recipe:
    """MoVQ: pictures to nano latents and back."""
    from training.autoencoder import AutoencoderRecipe

    return AutoencoderRecipe()


def _encoder(cache: Path) -> Recipe:
    """Encoder alone, after the autoencoder: nano latents of pictures."""
    from training.autoencoder import EncoderRecipe

    return EncoderRecipe(cache)


def _decoder(cache: Path) -> Recipe:
    """Decoder polish: clean outlines from the UNet's latents."""
    from training.decoder import DecoderRecipe

    return DecoderRecipe(cache)


RECIPES: dict[str, Callable[[Path], Recipe]] = {
    "text-encoder": _text_encoder,
    "autoencoder": _autoencoder,
    "text-to-image": _text_to_image,
    "encoder": _encoder,
    "decoder": _decoder,
}


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    if options.recipe == "export":
        from training.export import export

        for name, checksum in export(options.cache, options.to).items():
            print(name, checksum)
        return
    torch.set_num_threads(options.threads)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        dist.init_process_group("gloo")
    recipe = RECIPES[options.recipe](options.cache)
    recipe.schedule = replace(recipe.schedule, **_given(options, "steps", "learning_rate", "batch"))
    run = Run(recipe, options.cache, options.seed, options.save_every, say=lambda line: print(line, flush=True))
    run.go_on(minutes=options.minutes)
    if dist.is_initialized():
        dist.destroy_process_group()


def _given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description="Train the networks of kandinsky-nano.")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of checkpoints and rendered scenes (%(default)s)")
    recipes = parser.add_subparsers(dest="recipe", required=True, metavar="RECIPE")
    for name, build in RECIPES.items():
        one = recipes.add_parser(name, help=build.__doc__, description=build.__doc__)
        one.add_argument("--cache", type=Path, default=argparse.SUPPRESS, help="folder of checkpoints and rendered scenes")
        one.add_argument("--minutes", type=float, default=float("inf"), help="stop after so long; run again to go on")
        one.add_argument("--steps", type=int, help="length of the schedule")
        one.add_argument("--learning-rate", type=float)
        one.add_argument("--batch", type=int, help="examples per step, over all processes")
        one.add_argument("--seed", type=int, default=0)
        one.add_argument("--save-every", type=float, default=60.0, help="seconds between checkpoints (%(default)s)")
        one.add_argument("--threads", type=int, default=1, help="torch threads per process (%(default)s)")
    text = "Write the averaged weights as the family folder that the engine loads."
    one = recipes.add_parser("export", help=text, description=text)
    one.add_argument("--cache", type=Path, default=argparse.SUPPRESS, help="folder of checkpoints and rendered scenes")
    one.add_argument("--to", type=Path, default=PACKAGE, help="the family's folder (the packaged one)")
    return parser


if __name__ == "__main__":
    main()
