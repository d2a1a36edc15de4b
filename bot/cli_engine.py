"""The commands that use the engine alone, from a shell: one a mode, with the same options everywhere.

An option is named for people and stored under the name of the request's field, so a command is its request's kind and a list of
options.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

    from engine.outcomes import Outcome
    from engine.requests import Request

_NANO, _BIG_FAMILY = "kandinsky-nano", "kandinsky-3.1"


@dataclass(frozen=True)
class Argument:
    """What argparse is told about one argument."""

    names: tuple[str, ...]
    settings: dict[str, Any]


def _argument(*names: str, **settings: Any) -> Argument:
    return Argument(names, settings)


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(each) for each in text.split(","))


def _integers(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in text.split(","))


_PROMPT = _argument("prompt", metavar="PROMPT")
_PICTURE = _argument("image", metavar="PICTURE", type=Path)
_WORDS = _argument("--prompt", help="what to draw there")
_SIZE = _argument("--size", help="WIDTHxHEIGHT in pixels")
_FEATHER = _argument("--feather", dest="mask_feather", type=int, help="pixels over which the new fades in (default: 8)")
_PICTURE_WEIGHT = _argument("--picture-weight", dest="ip_adapter_scale", type=float, help="how much pictures count (default: 1)")
_GUIDED = (
    _argument("--negative-prompt", help="what to keep away from"),
    _argument("--steps", dest="num_inference_steps", type=int, help="of the sampler (default: 50)"),
    _argument("--guidance", dest="guidance_scale", type=float, help="how closely to follow the words"),
)

MODES: dict[str, tuple[str, str, tuple[Argument, ...]]] = {  # command: kind of request, help, arguments
    "draw": (
        "text-to-image",
        "draw from the shell, without a chat",
        (
            _PROMPT,
            _argument("--flash", action=argparse.BooleanOptionalAction, default=None, help="four steps (default)"),
            _argument("--base", action="store_false", dest="flash", default=None, help="fifty steps with guidance"),
            _SIZE,
            *_GUIDED,
        ),
    ),
    "img2img": (
        "image-to-image",
        "draw a prompt over a picture",
        (
            _PICTURE,
            _PROMPT,
            _argument("--strength", type=float, help="0 leaves the picture, 1 ignores it (default: 0.75)"),
            *_GUIDED,
        ),
    ),
    "refine": (
        "refine",
        "run Flash's late steps over a picture",
        (
            _PICTURE,
            _PROMPT,
            _argument("--timesteps", type=_integers, help="479,229 (default) or 229, which changes less"),
        ),
    ),
    "vary": ("variation", "draw the like of a picture", (_PICTURE, _PICTURE_WEIGHT, _SIZE, *_GUIDED)),
    "mix": (
        "mix",
        "mix up to four pictures, with a prompt or without",
        (
            _argument("images", nargs="+", metavar="PICTURE", help="pictures; what comes last may be a PROMPT"),
            _argument("--weights", type=_numbers, help="one a picture, with commas (default: the same for each)"),
            _PICTURE_WEIGHT,
            _SIZE,
            *_GUIDED,
        ),
    ),
    "inpaint": (
        "inpaint",
        "repaint the white part of a mask",
        (
            _PICTURE,
            _argument("mask_image", metavar="MASK", type=Path),
            _PROMPT,
            _argument("--dilation", dest="mask_dilation", type=int, help="pixels by which the mask grows (default: 0)"),
            _FEATHER,
            *_GUIDED,
        ),
    ),
    "outpaint": (
        "outpaint",
        "draw on beyond a picture's sides",
        (
            _PICTURE,
            _WORDS,
            *(
                _argument(f"--{side}", type=int, help=f"pixels to add at the {side}")
                for side in ("left", "top", "right", "bottom")
            ),
            _argument("--zoom", type=float, help="make the canvas so many times as wide and high (1 to 4)"),
            _FEATHER,
            *_GUIDED,
        ),
    ),
    "outline": (
        "keep-outline",
        "draw a prompt along a picture's outlines",
        (
            _PICTURE,
            _PROMPT,
            _argument("--hint", help="how outlines are found: hed (default), canny or sketch"),
            _argument("--style", dest="style_image", type=Path, metavar="PICTURE", help="take the look from this picture"),
            _argument("--control", dest="controlnet_conditioning_scale", type=float, help="how much outlines count (default: 1)"),
            _PICTURE_WEIGHT,
            *_GUIDED,
        ),
    ),
    "regions": (
        "regions",
        "draw each prompt in the part of the picture that a map gives it",
        (
            _argument("map_image", metavar="MAP", type=Path),
            _argument("region_prompts", nargs="+", metavar="PROMPT", help="one a colour of the map, from its top left on"),
            _WORDS,
            _argument("--base-ratio", type=float, help="how much --prompt counts inside the regions (default: 0)"),
            _SIZE,
            *_GUIDED,
        ),
    ),
    "upscale": (
        "upscale",
        "enlarge a picture",
        (
            _PICTURE,
            _argument("--scale", type=int, help="2 or 4 times (default: 4)"),
            _argument("--tile", type=int, help="only this ninth of it, 1 to 9 as one reads (default: all)"),
            _argument("--flash", action="store_true", default=None, help="in four steps, 2 times only"),
            _argument("--refine", action=argparse.BooleanOptionalAction, default=None, help="Flash over the result"),
            _argument("--steps", dest="num_inference_steps", type=int, help="of the solver (default: 5)"),
        ),
    ),
    "beautify": ("beautify", "write a better prompt, in English", (_argument("prompt", metavar="TEXT"),)),
    "translate": ("translate", "write a prompt in English", (_argument("prompt", metavar="TEXT"),)),
}
_WRITES = ("beautify", "translate")
_NANO_SERVES = ("draw", "img2img", "inpaint", "outpaint", "outline", "upscale", *_WRITES)
_CHANGES = {"memory": "memory", "lora": "loras", "judge": "judge"}  # of how a family is loaded


def add_commands(commands: Any) -> None:
    """Add a command for each mode."""
    for name, (_, what, arguments) in MODES.items():
        command = commands.add_parser(name, help=what)
        for argument in arguments:
            command.add_argument(*argument.names, **argument.settings)
        family = _NANO if name in _NANO_SERVES else _BIG_FAMILY
        command.add_argument("--family", default=family, help=f"set of weights (default: {family})")
        command.add_argument("--seed", type=int, default=1, help="another number, another picture (default: 1)")
        command.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
        command.add_argument("--memory", help="one of the family's memory plans (default: what suits the device)")
        if name in _WRITES:
            command.add_argument("--temperature", type=float, help="0 takes the likeliest word each time")
        else:
            command.add_argument("-o", "--output", type=Path, default=Path("kandinsky.png"), help="file to write")
            command.add_argument("--lora", action="append", default=[], metavar="FILE[:WEIGHT]", help="merge in; may be repeated")
            command.add_argument(
                "--judge", default="", metavar="MODULE:FUNCTION", help="look at pictures in place of the family's"
            )
            command.add_argument("--recipe", action=argparse.BooleanOptionalAction, default=True, help="how, into the file")
        command.set_defaults(run=_runner(name))


def _runner(name: str) -> Callable[[argparse.Namespace], int]:
    return lambda options: _run(name, options)


def _run(name: str, options: argparse.Namespace) -> int:
    from engine import catalog
    from engine.recipe import form_of
    from engine.requests import kinds

    (kind,) = (each for each in kinds() if each.kind == MODES[name][0])
    given = vars(options)
    if given.get("size"):
        given["width"], given["height"] = _size(given["size"])
    if name == "mix":
        given["images"], given["prompt"] = _pictures_and_words(given["images"])
    files = _Files()
    values = {field.name: files.named(given[field.name]) for field in fields(kind) if given.get(field.name) is not None}
    if "num_images_per_prompt" in {field.name for field in fields(kind)}:
        values["num_images_per_prompt"] = 1
    request = catalog.make(kind, values.pop("family"), **values)

    if name not in _WRITES:
        form_of(options.output)  # said before anything is loaded
    from engine.engine import load

    changes = {name: given[option] for option, name in _CHANGES.items() if given.get(option)}
    engine = load(request.family, [request.lane], options.device, **changes)
    (outcome,) = engine.run([request], files.pictures)
    return _show(request, outcome, engine.revision, options)


def _show(request: "Request", outcome: "Outcome", revision: str, options: argparse.Namespace) -> int:
    from engine.outcomes import Drawn, Written
    from engine.recipe import encode, form_of, recipe_of

    if isinstance(outcome, Written):
        print(outcome.text)
        return 0
    if not isinstance(outcome, Drawn):
        print(f"kandinsky-bot: nothing was drawn: {outcome}", file=sys.stderr)
        return 1
    picture = outcome.images[0]
    try:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        recipe = recipe_of(request, 0, outcome.seeds[0], revision, options.device) if options.recipe else None
        options.output.write_bytes(encode(picture, recipe, form_of(options.output)))
    except (OSError, ValueError) as error:
        print(f"kandinsky-bot: --output: {options.output} cannot be written: {error}", file=sys.stderr)
        return 2
    print(f"{options.output}  {picture.width}x{picture.height}  seed {request.seed}")
    return 0


class _Files:
    """The pictures that a command names, under the media ids that a chat would give them."""

    def __init__(self) -> None:
        self.pictures: dict[str, Image] = {}

    def named(self, value: Any) -> Any:
        """The media id of a file, or of each file of a list; any other value as it is."""
        if isinstance(value, Path):
            return self._add(value)
        if isinstance(value, list):
            return tuple(self.named(each) for each in value)
        return value

    def _add(self, path: Path) -> str:
        import hashlib

        from engine.pictures import decoded
        from engine.requests import RequestError

        try:
            data = path.read_bytes()
        except OSError as error:
            sentence = f"The picture {path} cannot be read: {error.strerror}; name another file."
            raise RequestError("picture-unreadable", sentence) from None
        media_id = hashlib.sha256(data).hexdigest()
        try:
            self.pictures[media_id] = decoded(data)
        except RequestError as error:
            raise RequestError(error.code, f"{path}: {error}", error.values) from None
        return media_id


def _pictures_and_words(arguments: Sequence[str]) -> tuple[list[Path], str | None]:
    """The last argument is a prompt if no file has that name and it does not look like a file's."""
    *before, last = arguments
    if not before or Path(last).exists() or Path(last).suffix.lower() in (".png", ".jpg", ".jpeg", ".webp"):
        return [Path(each) for each in arguments], None
    return [Path(each) for each in before], last


def _size(text: str) -> tuple[int, int]:
    from engine.requests import RequestError

    width, _, height = text.lower().replace("×", "x").partition("x")
    if not (width.isdigit() and height.isdigit()):
        sentence = f"A size looks like 1024x1024, not {text!r:.40}."
        raise RequestError("size-not-served", sentence, {"value": text[:40], "sizes": []})
    return int(width), int(height)
