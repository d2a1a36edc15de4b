"""`kandinsky-bot redraw FILE`: draw a picture again from the recipe in its file, and compare."""

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

    from engine.recipe import Recipe

_SHOWN = 12  # hexadecimal digits of a media id


def add_redraw(commands: Any) -> None:
    """Add the command."""
    redraw = commands.add_parser("redraw", help="draw a picture again from its file, and say what differs")
    redraw.add_argument("file", metavar="FILE", type=Path)
    redraw.add_argument("--source", type=Path, action="append", default=[], help="a picture that it was made from, if any")
    redraw.add_argument("--lora", action="append", default=[], metavar="FILE[:WEIGHT]", help="those it was drawn with, if any")
    redraw.add_argument("--judge", default="", metavar="MODULE:FUNCTION", help="look at pictures in place of the family's")
    redraw.add_argument("--weights", type=Path, help="folder of the family (default: where workers look)")
    redraw.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    redraw.add_argument("-o", "--output", type=Path, help="save what was drawn now")
    redraw.set_defaults(run=_redraw)


def _redraw(options: argparse.Namespace) -> int:
    from engine import catalog, recipe
    from engine.recipe import RecipeError

    stored = recipe.read(options.file)
    request = stored.asked()
    catalog.check(request)
    sources = _sources(request.sources, options.source, options.file)
    from engine.engine import load
    from engine.outcomes import Drawn

    engine = load(
        request.family, [request.lane], options.device, weights=options.weights, loras=options.lora, judge=options.judge
    )
    (outcome,) = engine.run([request], sources)
    if not isinstance(outcome, Drawn) or stored.seed not in outcome.seeds:
        raise RecipeError(f"{options.file} could not be drawn again: {outcome}.")
    again = outcome.images[outcome.seeds.index(stored.seed)]
    if options.output:
        now = recipe.recipe_of(request, stored.index, stored.seed, engine.revision, options.device)
        options.output.write_bytes(recipe.encode(again, now, recipe.form_of(options.output)))
    said = differences(options.file, stored, again, engine.revision, options.device)
    print(f"{options.file}: {'identical' if not said else '; '.join(said)}")
    return 1 if said else 0


def differences(file: Path, stored: "Recipe", again: "Image", revision: str, device: str) -> list[str]:
    """What differs between a file's picture and the one drawn now, and what may be the reason; nothing if no pixel does."""
    import numpy as np
    from PIL import Image

    from bot.presentation import as_file
    from engine.recipe import encode

    with Image.open(file) as opened:
        lossy, picture = opened.format == "JPEG", opened.convert("RGB")
    if picture.size != again.size:  # small pictures are enlarged on their way into a chat
        import io

        again = Image.open(io.BytesIO(as_file(encode(again, None)))).convert("RGB")
    if picture.size != again.size:
        return [f"the file's picture is {picture.width}x{picture.height} and this one {again.width}x{again.height}"]
    gap = np.abs(np.asarray(picture, np.int16) - np.asarray(again, np.int16))
    if not gap.any():
        return []
    said = [f"{(gap.max(axis=2) > 0).mean():.1%} of the pixels differ, by at most {gap.max()} of 255"]
    reasons = [
        (lossy, "the file is a JPEG, which keeps no exact pixels"),
        (stored.revision != revision, f"it was drawn with weights {stored.revision}, these are {revision}"),
        (stored.device != device.partition(":")[0], f"it was drawn on {stored.device}, this is {device.partition(':')[0]}"),
        (stored.version != _version(), f"it was drawn by version {stored.version}, this is {_version()}"),
    ]
    named = [reason for true, reason in reasons if true]
    return said + (named or ["weights, device and version are the same, so the file was changed"])


def _sources(wanted: Sequence[str], given: Sequence[Path], file: Path) -> Mapping[str, "Image"]:
    """The pictures that a request names, found by their content among the files given."""
    from engine.pictures import decoded
    from engine.recipe import RecipeError

    found: dict[str, Image] = {}
    contents = {}
    for path in given:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise RecipeError(f"{path} cannot be read ({error.strerror}); name another --source.") from None
        contents[hashlib.sha256(data).hexdigest()] = data
    for media_id in wanted:
        digest = media_id.partition(".")[0]
        if digest not in contents:
            sentence = f"{file} was made from a picture that is not here (SHA-256 {digest[:_SHOWN]}); name it with --source."
            raise RecipeError(sentence)
        found[media_id] = decoded(contents[digest])
    return found


def _version() -> str:
    from engine.recipe import version_here

    return version_here()
