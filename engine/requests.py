"""What to draw: frozen requests that serialise to canonical JSON.

Imports the standard library only, so a bot process can build, check and store requests without loading a network.
A later kind of request is one more class under `@kind`.
"""

import json
import math
import re
import secrets
import unicodedata
from collections.abc import Callable
from dataclasses import MISSING, asdict, dataclass, fields
from typing import TYPE_CHECKING, ClassVar, TypeVar

MAX_PROMPT = 2000  # characters
MAX_PICTURES = 4
MAX_SEED = 2**32 - 1
MAX_STEPS = 100
MAX_GUIDANCE = 20.0
_FARTHEST = 10**15  # beyond it a whole number is not even quoted back

_JOINER = "\u200d"
_EMOJI = r"\u2190-\u2bff\U0001f000-\U0001faff"
_STRAY_JOINER = re.compile(rf"(?<![\ufe0f{_EMOJI}])\u200d|\u200d(?![{_EMOJI}])")


class RequestError(ValueError):
    """A request that cannot be served; `code` and `values` let a chat say so in the reader's language."""

    def __init__(self, code: str, sentence: str, values: dict[str, object] | None = None) -> None:
        super().__init__(code, sentence, values or {})
        self.code = code
        self.sentence = sentence
        self.values: dict[str, object] = values or {}

    def __str__(self) -> str:
        return self.sentence


def clean_prompt(text: str) -> str:
    """Bring typed text to one form: NFC, single spaces, nothing invisible.

    Control characters become spaces; lone surrogates, bidirectional controls and zero-width characters go. A joiner
    stays only between two emoji, where it is part of what the person sees.
    """
    seen = unicodedata.normalize("NFC", "".join(_visible(character) for character in text))
    joined = unicodedata.normalize("NFC", _STRAY_JOINER.sub("", seen))  # again: a joiner may have kept letter and accent apart
    return " ".join(joined.split())


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cc":
        return " "
    if category == "Cs" or (category == "Cf" and character != _JOINER):
        return ""
    return character


def new_seed() -> int:
    """Draw a fresh seed for a picture nobody has asked to repeat."""
    return secrets.randbelow(MAX_SEED + 1)


@dataclass(frozen=True)
class Request:
    """A wish for the engine; every kind has a `seed` for its first picture, a `family` of weights and a `lane`."""

    kind: ClassVar[str]

    if TYPE_CHECKING:  # declared here, but each kind chooses where they stand among its fields

        @property
        def seed(self) -> int: ...
        @property
        def family(self) -> str: ...
        @property
        def lane(self) -> str: ...
        @property
        def size(self) -> tuple[int, int]: ...
        @property
        def pictures(self) -> int: ...


RequestClass = TypeVar("RequestClass", bound=type[Request])
_KINDS: dict[str, type[Request]] = {}


def kind(name: str) -> Callable[[RequestClass], RequestClass]:
    """Register a request class under the tag that its JSON carries."""

    def register(cls: RequestClass) -> RequestClass:
        cls.kind = name
        _KINDS[name] = cls
        return cls

    return register


@kind("text-to-image")
@dataclass(frozen=True)
class TextToImage(Request):
    """Draw a prompt.

    `flash` takes the four-step sampler, which ignores negative prompt, steps, guidance and eta; they are stored all
    the same, so that "draw carefully" is the same request with `flash=False`. Sizes are pixels. The defaults are
    those of the default family; `catalog.text_to_image` fills in another family's.

    Raises: RequestError for a value no family can serve; what one family serves is `catalog.check`.
    """

    prompt: str
    seed: int
    negative_prompt: str = ""
    width: int = 128
    height: int = 128
    num_images_per_prompt: int = 4
    flash: bool = True
    num_inference_steps: int = 50
    guidance_scale: float = 0.5
    eta: float = 1.0
    family: str = "kandinsky-nano"

    def __post_init__(self) -> None:
        for name in ("prompt", "negative_prompt", "family"):
            _set(self, name, _text(name, getattr(self, name)))
        if not isinstance(self.flash, bool):
            raise _not_a_request(f"flash is true or false, not {self.flash!a}")
        _check_prompt(self.prompt)
        _check_length(self.negative_prompt)
        _check_range("seed-range", "The seed", self.seed, 0, MAX_SEED)
        _check_range("number-of-pictures", "The number of pictures", self.num_images_per_prompt, 1, MAX_PICTURES)
        _check_range("steps-range", "The number of steps", self.num_inference_steps, 1, MAX_STEPS)
        for name in ("width", "height"):
            _integer(name, getattr(self, name))
        _set(self, "guidance_scale", _number("guidance_scale", self.guidance_scale))
        _set(self, "eta", _number("eta", self.eta))
        if not 0 <= self.guidance_scale <= MAX_GUIDANCE:
            raise _out_of_range("guidance-range", "The guidance", self.guidance_scale, 0.0, MAX_GUIDANCE)
        if not 0 <= self.eta <= 1:
            raise _strange_number("eta", self.eta, "a number from 0 to 1")

    @property
    def lane(self) -> str:
        """The kind of worker that draws it."""
        return "flash" if self.flash else "base"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of each picture, in pixels."""
        return self.width, self.height

    @property
    def pictures(self) -> int:
        """How many pictures it asks for: what a quota counts."""
        return self.num_images_per_prompt


def image_seed(request: Request, index: int) -> int:
    """Seed of the index-th picture of a request; drawn alone with it, the picture is the same."""
    return (request.seed + index) % (MAX_SEED + 1)


def to_json(request: Request) -> str:
    """Write a request as canonical JSON: sorted keys, no spaces, every field present."""
    stored = {"kind": request.kind, **asdict(request)}
    return json.dumps(stored, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def from_json(text: str) -> Request:
    """Read a stored request.

    Raises: RequestError for anything `to_json` cannot have written.
    """
    try:
        stored = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _not_a_request("it is not JSON") from error
    if not isinstance(stored, dict):
        raise _not_a_request("it is not a JSON object")
    name = stored.pop("kind", None)
    cls = _KINDS.get(name) if isinstance(name, str) else None
    if cls is None:
        values: dict[str, object] = {"kind": ascii(name)[:40], "family": ascii(stored.get("family"))[:40]}
        known = ", ".join(_KINDS)
        raise RequestError("kind-not-served", f"Requests of kind {name!a:.40} are not known; choose one of: {known}.", values)
    known_fields = {field.name: field for field in fields(cls)}
    for field_name in stored:
        if field_name not in known_fields:
            raise _not_a_request(f"{name} has no field {field_name!a}")
    for field_name, field in known_fields.items():
        if field_name not in stored and field.default is MISSING:
            raise _not_a_request(f"{name} needs {field_name!r}")
    return cls(**stored)


def _set(request: Request, name: str, value: object) -> None:
    object.__setattr__(request, name, value)  # the way a frozen dataclass normalises its own fields


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise _not_a_request(f"{name} is text, not {value!a}")
    return clean_prompt(value)


def _check_length(text: str) -> None:
    if len(text) > MAX_PROMPT:
        sentence = f"A prompt has at most {MAX_PROMPT} characters and this one has {len(text)}; please shorten it."
        raise RequestError("prompt-too-long", sentence, {"limit": MAX_PROMPT, "value": len(text)})


def _check_prompt(prompt: str) -> None:
    if not prompt:
        raise RequestError("prompt-empty", "The prompt is empty; describe the picture in words.")
    _check_length(prompt)
    if not any(character.isalnum() for character in prompt):
        raise RequestError("prompt-nothing-to-draw", "The prompt has no letters or digits; describe the picture in words.")


def _integer(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _strange_number(name, value, "a whole number")
    if abs(value) > _FARTHEST:
        raise _strange_number(name, math.inf, "a smaller number")
    return value


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _strange_number(name, value, "a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _strange_number(name, number, "a number")
    return number + 0.0  # one form for zero: -0.0 would be another JSON text


def _check_range(code: str, what: str, value: object, minimum: int, maximum: int) -> None:
    number = _integer(what, value)
    if not minimum <= number <= maximum:
        raise _out_of_range(code, what, number, minimum, maximum)


def _out_of_range(code: str, what: str, value: float, minimum: float, maximum: float) -> RequestError:
    sentence = f"{what} lies between {minimum} and {maximum} and this one is {value}; choose one in between."
    return RequestError(code, sentence, {"minimum": minimum, "maximum": maximum, "value": value})


def _strange_number(name: str, value: object, wanted: str) -> RequestError:
    shown = ascii(value)[:40]
    return RequestError("strange-number", f"{name} is {shown}; please give {wanted}.", {"name": name, "value": shown})


def _not_a_request(why: str) -> RequestError:
    return RequestError("not-a-request", f"This is not a stored request ({why[:200]}); make a new one.")
