"""What a field of a request may hold: one rule for each name, the same in every kind of request.

A rule takes a field's name and its value and returns the value in its one form. Imports the standard library only.
"""

import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

MAX_PROMPT = 2000  # characters
MAX_PICTURES = 4
MAX_SEED = 2**32 - 1
MAX_STEPS = 100
MAX_GUIDANCE = 20.0
MIN_WEIGHT, MAX_WEIGHT = 0.01, 2.0  # of a picture or an adapter beside the prompt
MAX_MARGIN = 4096  # pixels that outpainting adds on a side
MAX_ZOOM = 4.0
MAX_TILE = 9  # parts of a picture, three by three, counted from 1 as one reads
MAX_SPREAD = 256  # pixels by which a mask grows or fades
MAX_REGIONS = 4
MAX_NEW_TOKENS = 512
REFINE_TIMESTEPS = ((479, 229), (229,))
HINTS = ("hed", "canny", "sketch")
SCALES = (2, 4)
_FARTHEST = 10**15  # beyond it a whole number is not even quoted back

_JOINER = "\u200d"
_EMOJI = r"\u2190-\u2bff\U0001f000-\U0001faff"
_STRAY_JOINER = re.compile(rf"(?<![\ufe0f{_EMOJI}])\u200d|\u200d(?![{_EMOJI}])")
_MEDIA_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,127}\Z")

Rule = Callable[[str, object], Any]


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


def not_a_request(why: str) -> RequestError:
    """A value that no version of the bot can have stored."""
    return RequestError("not-a-request", f"This is not a stored request ({why[:200]}); make a new one.")


def out_of_range(code: str, what: str, value: float, minimum: float, maximum: float) -> RequestError:
    """A number beyond its limits."""
    sentence = f"{what} lies between {minimum} and {maximum} and this one is {value}; choose one in between."
    return RequestError(code, sentence, {"minimum": minimum, "maximum": maximum, "value": value})


def _strange_number(name: str, value: object, wanted: str) -> RequestError:
    shown = ascii(value)[:40]
    return RequestError("strange-number", f"{name} is {shown}; please give {wanted}.", {"name": name, "value": shown})


def _not_a_choice(name: str, value: object, choices: tuple[object, ...]) -> RequestError:
    known = [str(choice) for choice in choices]
    sentence = f"{name} is {value!a:.40}; choose one of: {', '.join(known)}."
    return RequestError("not-a-choice", sentence, {"value": ascii(value)[:40], "choices": known})


def text(name: str, value: object) -> str:
    """Any text, cleaned."""
    if not isinstance(value, str):
        raise not_a_request(f"{name} is text, not {value!a}")
    return clean_prompt(value)


def optional_prompt(name: str, value: object) -> str:
    """A text that a text encoder reads, or none."""
    words = text(name, value)
    if len(words) > MAX_PROMPT:
        sentence = f"A prompt has at most {MAX_PROMPT} characters and this one has {len(words)}; please shorten it."
        raise RequestError("prompt-too-long", sentence, {"limit": MAX_PROMPT, "value": len(words)})
    return words


def _prompt(name: str, value: object) -> str:
    words = text(name, value)
    if not words:
        raise RequestError("prompt-empty", "The prompt is empty; describe the picture in words.")
    optional_prompt(name, words)
    if not any(character.isalnum() for character in words):
        raise RequestError("prompt-nothing-to-draw", "The prompt has no letters or digits; describe the picture in words.")
    return words


def _prompts(name: str, value: object) -> tuple[str, ...]:
    prompts = tuple(_prompt(name, each) for each in _items(name, value))
    if not 1 <= len(prompts) <= MAX_REGIONS:
        raise out_of_range("number-of-regions", "The number of regions", len(prompts), 1, MAX_REGIONS)
    return prompts


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise not_a_request(f"{name} is true or false, not {value!a}")
    return value


def media_id(name: str, value: object) -> str:
    """The name of a stored picture."""
    if not isinstance(value, str) or not _MEDIA_ID.match(value):
        raise not_a_request(f"{name} is not the id of a picture: {value!a:.60}")
    return value


def _optional_media_id(name: str, value: object) -> str:
    return "" if value == "" else media_id(name, value)


def _media_ids(name: str, value: object) -> tuple[str, ...]:
    ids = tuple(media_id(name, each) for each in _items(name, value))
    if not 1 <= len(ids) <= MAX_PICTURES:
        raise out_of_range("number-of-sources", "The number of pictures to mix", len(ids), 1, MAX_PICTURES)
    return ids


def _weights(name: str, value: object) -> tuple[float, ...]:
    weights = tuple(_number(name, each) for each in _items(name, value))
    for weight in weights:
        if not MIN_WEIGHT <= weight <= MAX_WEIGHT:
            raise out_of_range("weight-range", "A weight", weight, MIN_WEIGHT, MAX_WEIGHT)
    return weights


def _items(name: str, value: object) -> tuple[object, ...]:
    if not isinstance(value, list | tuple):
        raise not_a_request(f"{name} is a list, not {value!a}")
    return tuple(value)


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


def whole_between(code: str, what: str, minimum: int, maximum: int) -> Rule:
    """A rule for whole numbers in a range."""

    def rule(name: str, value: object) -> int:
        number = _integer(what, value)
        if not minimum <= number <= maximum:
            raise out_of_range(code, what, number, minimum, maximum)
        return number

    return rule


def between(code: str, what: str, minimum: float, maximum: float) -> Rule:
    """A rule for numbers in a range."""

    def rule(name: str, value: object) -> float:
        number = _number(name, value)
        if not minimum <= number <= maximum:
            raise out_of_range(code, what, number, minimum, maximum)
        return number

    return rule


def one_of(choices: tuple[object, ...]) -> Rule:
    """A rule for a value out of a few; a list counts as the tuple with its items."""

    def rule(name: str, value: object) -> object:
        chosen = tuple(value) if isinstance(value, list) else value
        if isinstance(chosen, bool) or chosen not in choices:
            raise _not_a_choice(name, value, choices)
        return chosen

    return rule


def _eta(name: str, value: object) -> float:
    number = _number(name, value)
    if not 0 <= number <= 1:
        raise _strange_number(name, number, "a number from 0 to 1")
    return number


_weight = between("weight-range", "A weight", 0.0, MAX_WEIGHT)
_share = between("value-range", "A share", 0.0, 1.0)
_margin = whole_between("value-range", "The margin in pixels", 0, MAX_MARGIN)
_spread = whole_between("value-range", "The distance in pixels", 0, MAX_SPREAD)

RULES: Mapping[str, Rule] = {
    "prompt": _prompt,
    "negative_prompt": optional_prompt,
    "region_prompts": _prompts,
    "family": text,
    "seed": whole_between("seed-range", "The seed", 0, MAX_SEED),
    "width": _integer,  # what is served is the catalogue's
    "height": _integer,
    "flash": _flag,
    "num_images_per_prompt": whole_between("number-of-pictures", "The number of pictures", 1, MAX_PICTURES),
    "num_inference_steps": whole_between("steps-range", "The number of steps", 1, MAX_STEPS),
    "guidance_scale": between("guidance-range", "The guidance", 0.0, MAX_GUIDANCE),
    "eta": _eta,
    "strength": between("strength-range", "The strength", 0.0, 1.0),
    "image": media_id,
    "images": _media_ids,
    "mask_image": media_id,
    "map_image": media_id,
    "style_image": _optional_media_id,
    "weights": _weights,
    "ip_adapter_scale": _weight,
    "controlnet_conditioning_scale": _weight,
    "control_guidance_start": _share,
    "control_guidance_end": _share,
    "base_ratio": _share,
    "hint": one_of(HINTS),
    "scale": one_of(SCALES),
    "timesteps": one_of(REFINE_TIMESTEPS),
    "left": _margin,
    "top": _margin,
    "right": _margin,
    "bottom": _margin,
    "mask_dilation": _spread,
    "mask_feather": _spread,
    "zoom": between("value-range", "The zoom", 1.0, MAX_ZOOM),
    "tile": whole_between("value-range", "The number of the part", 0, MAX_TILE),
    "refine": _flag,
    "temperature": between("value-range", "The temperature", 0.0, 2.0),
    "top_p": between("value-range", "A share", 0.01, 1.0),
    "max_new_tokens": whole_between("value-range", "The number of new tokens", 1, MAX_NEW_TOKENS),
}
PICTURE_FIELDS = ("image", "images", "mask_image", "map_image", "style_image")
