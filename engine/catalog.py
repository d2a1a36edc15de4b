"""The families of weights and what each of them serves: sizes, kinds, defaults, limits.

Loads no network: a bot process reads menus from here and checks requests before they are stored.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from engine import nano_world
from engine.errors import EngineError
from engine.families import FAMILIES, Family, MemoryPlan, PredictionType, Size, TextPath, UNetWeights
from engine.language import answers, readings
from engine.requests import Request, RequestError, TextToImage, Upscale
from engine.safety.text import illegal

__all__ = [
    "DEFAULT_FAMILY",
    "FETCHED_WEIGHTS",
    "PACKAGED_WEIGHTS",
    "Family",
    "MemoryPlan",
    "PredictionType",
    "Route",
    "Size",
    "TextPath",
    "UNetWeights",
    "available",
    "check",
    "examples",
    "families",
    "family",
    "in_english",
    "lanes_here",
    "make",
    "memory_plan",
    "other_examples",
    "other_readings",
    "route",
    "speaks",
    "text_to_image",
    "weights_folder",
]

DEFAULT_FAMILY = "kandinsky-nano"
PACKAGED_WEIGHTS = Path(__file__).parent / "data"
FETCHED_WEIGHTS = Path.home() / ".local" / "share" / "kandinsky-bot" / "weights"
_SUGGESTIONS = 6
_WORDS_NAMED = 8  # unknown words quoted back; a whole page of them helps nobody

Made = TypeVar("Made", bound=Request)


@dataclass(frozen=True)
class Route:
    """Which workers serve a request."""

    family: str
    lane: str

    @property
    def queue(self) -> str:
        """Name of the Celery queue whose bell wakes them."""
        return f"{self.family}.{self.lane}"


def families() -> tuple[Family, ...]:
    """All families the engine knows, whether or not their weights are on this machine."""
    return tuple(FAMILIES.values())


def family(name: str) -> Family:
    """Find a family by name.

    Raises: RequestError "family-unknown".
    """
    if name not in FAMILIES:
        known = list(FAMILIES)
        sentence = f"There is no family {name!a:.60}; choose one of: {', '.join(known)}."
        raise RequestError("family-unknown", sentence, {"value": name[:60], "families": known})
    return FAMILIES[name]


def weights_folder(name: str) -> Path:
    """Folder that holds, or will hold, a family's weights."""
    return (PACKAGED_WEIGHTS if family(name).weights == "package" else FETCHED_WEIGHTS) / name


def available(name: str) -> bool:
    """Whether a family's weights are on this machine; menus offer no other."""
    return weights_folder(name).is_dir()


def lanes_here(name: str, folder: Path | None = None) -> tuple[str, ...]:
    """The lanes of a family whose own networks are on this machine: all of them, or Flash alone."""
    served, place = family(name), folder or weights_folder(name)
    own = {
        "edit": ("unet_inpainting", "picture_prompt", "controlnet"),
        "upscale": ("super_resolution_*",),
        "language": ("language_model",),
    }
    unets = {use: (weights.unet,) for use, weights in served.unets.items()}
    return tuple(lane for lane in served.lanes if any(any(place.glob(each)) for each in (own | unets).get(lane, ())))


def memory_plan(name: str, gigabytes: float | None = None) -> MemoryPlan:
    """The plan of a family that makes the most of so many free gigabytes, its most spacious one if None.

    Raises: EngineError if not even the smallest fits.
    """
    plans = family(name).memory
    fitting = [plan for plan in plans if gigabytes is None or plan.gigabytes <= gigabytes]
    if not fitting:
        least = min(plan.gigabytes for plan in plans)
        raise EngineError(
            f"{name} needs {least:g} GB and there are {gigabytes or 0:.1f} GB free; free some, or choose another family."
        )
    return max(fitting, key=lambda plan: plan.gigabytes)


def make(kind: type[Made], family_name: str, **values: Any) -> Made:
    """Make a complete request of a kind: what is not given comes from the family's defaults, then from the kind's.

    Raises: RequestError, also for a family, size or prompt that `check` refuses.
    """
    served = family(family_name)
    known = {field.name for field in fields(kind)}
    width, height = served.default_size
    defaults: dict[str, Any] = {"width": width, "height": height, "family": served.name}
    if kind is TextToImage:
        defaults |= {
            "num_images_per_prompt": served.max_pictures,
            "num_inference_steps": served.num_inference_steps,
            "guidance_scale": served.guidance_scale,
            "eta": served.eta,
            "flash": "flash" in served.lanes,
        }
    if kind.kind in served.guidance_scales:
        defaults["guidance_scale"] = served.guidance_scales[kind.kind]
    request = kind(**{name: value for name, value in defaults.items() if name in known} | values)
    check(request)
    return request


def text_to_image(family_name: str, prompt: str, seed: int, **overrides: Any) -> TextToImage:
    """Make a complete text-to-image request: what is not given comes from the family's defaults.

    Raises: RequestError, also for a family, size or prompt that `check` refuses.
    """
    return make(TextToImage, family_name, prompt=prompt, seed=seed, **overrides)


def route(request: Request) -> Route:
    """Name the family and the lane that serve a request."""
    return Route(family(request.family).name, request.lane)


def check(request: Request) -> None:
    """Make sure that the request's family serves it.

    Raises: RequestError with the limit, the value received and the next step.
    """
    served = family(request.family)
    if request.kind not in served.kinds:
        sentence = f"{served.title} does not serve {request.kind}; choose another family."
        raise RequestError("kind-not-served", sentence, {"kind": request.kind, "family": served.name})
    if request.lane not in served.lanes:
        sentence = f"{served.title} has no weights for {request.lane}; it has {', '.join(served.lanes)}."
        raise RequestError("kind-not-served", sentence, {"kind": request.kind, "family": served.name})
    prompt: str = getattr(request, "prompt", "")
    for words in (prompt, *getattr(request, "region_prompts", ())):
        _check_lawful(words)
    width, height = request.size
    if hasattr(request, "width"):
        _check_size(served, width, height)
    _check_pictures(served, request.pictures)
    if isinstance(request, Upscale):
        _check_scale(served, request)
    if served.small_world and request.pictures and prompt:
        _check_words(request)


def examples(family_name: str, language: str) -> tuple[str, ...]:
    """Prompts to tap, in the language if the family speaks it, else in its first one."""
    served = family(family_name)
    return served.examples[language if language in served.examples else served.languages[0]]


def other_examples(family_name: str, language: str, turn: int, count: int = 2) -> tuple[str, ...]:
    """A few prompts to tap out of many: others at each turn, a number that goes on and on."""
    served = family(family_name)
    spoken = language if language in served.examples else served.languages[0]
    many = served.examples[spoken] + served.more_examples[spoken]
    return tuple(many[(turn * count + at) % len(many)] for at in range(count))


def in_english(prompt: str) -> bool:
    """Whether nothing in a prompt needs translating."""
    return answers.is_english(prompt)


def speaks(family_name: str, prompt: str) -> bool:
    """Whether a family was trained on the language of a prompt, so that it is drawn as it is written."""
    if "ru" in family(family_name).languages and _language(prompt) == "ru":
        return True
    return in_english(prompt)


def other_readings(family_name: str, prompt: str, translation: str) -> dict[str, str]:
    """What else the words of a prompt may mean: the reading -> the translation with it, as far as the family draws that.

    Only of words whose translation took one reading: that one is told from the other.
    """
    found = {}
    for word in readings.ambiguous(prompt):
        taken = [each for each in word.readings if readings.says(translation, each)]
        if len(taken) != 1:
            continue
        for other in word.readings:
            meant = readings.swapped(translation, taken[0], other)
            if other not in taken and _drawable(family_name, meant):
                found[other] = meant
    return found


def _drawable(family_name: str, prompt: str) -> bool:
    try:
        text_to_image(family_name, prompt, 0)
    except RequestError:
        return False
    return True


def _check_lawful(words: str) -> None:
    category = illegal(words)
    if category:
        sentence = f"This asks for what is against the law nearly everywhere ({category}); ask for something else."
        raise RequestError("illegal", sentence, {"category": category})


def _check_size(served: Family, width: int, height: int) -> None:
    if (width, height) in served.sizes or (served.free_sizes and served.free_sizes.allow(width, height)):
        return
    sizes = [f"{w}x{h}" for w, h in served.sizes]
    others = f", or {served.free_sizes}" if served.free_sizes else ""
    sentence = f"{served.title} does not draw {width}x{height}; choose one of: {', '.join(sizes)}{others}."
    raise RequestError("size-not-served", sentence, {"value": f"{width}x{height}", "sizes": sizes})


def _check_pictures(served: Family, pictures: int) -> None:
    if pictures > served.max_pictures:
        sentence = f"{served.title} draws at most {served.max_pictures} pictures at once, not {pictures}; ask for fewer."
        raise RequestError("number-of-pictures", sentence, {"minimum": 1, "maximum": served.max_pictures, "value": pictures})


def _check_scale(served: Family, request: Upscale) -> None:
    if request.scale not in served.scales:
        scales = [str(scale) for scale in served.scales]
        sentence = f"{served.title} enlarges {' or '.join(scales)} times, not {request.scale}; choose that."
        raise RequestError("not-a-choice", sentence, {"value": str(request.scale), "choices": scales})


def _check_words(request: Request) -> None:
    """Honest nano: a prompt outside its small world is refused with words it knows, never drawn as a blob."""
    prompt, avoided = getattr(request, "prompt", ""), getattr(request, "negative_prompt", "")
    language = _language(prompt)
    understood = nano_world.parse(prompt)
    unknown = understood.unknown
    if avoided and not getattr(request, "flash", False):  # Flash does not read it
        unknown = tuple(dict.fromkeys(unknown + nano_world.parse(avoided).unknown))
    several = tuple(word for word in understood.unknown if nano_world.says_many(word))
    foreign = [word for word in unknown if word not in several and nano_world.normalise(word) not in nano_world.LEXICON]
    offers = list(nano_world.fewer(prompt, language)[:2])
    if several and offers and not foreign:
        limit, words = nano_world.PACKAGED.most, ", ".join(several)
        sentence = f"Nano draws at most {limit} of one shape so far, and there is no room for: {words}; leave that out."
        raise RequestError("several-of-one", sentence, {"limit": limit, "words": list(several), "prompts": offers})
    if not understood.shapes and not foreign:
        suggestions = list(nano_world.words(language)[:_SUGGESTIONS])
        sentence = f"The prompt names nothing to draw; nano needs a shape, such as {', '.join(suggestions)}."
        raise RequestError("no-object", sentence, {"suggestions": suggestions, "language": language})
    if unknown and not foreign:
        words = ", ".join(unknown)
        sentence = f"Nano knows these words but cannot fit them into one picture: {words}; leave them out or change them."
        raise RequestError("words-do-not-fit", sentence, {"words": list(unknown), "language": language})
    if foreign:
        foreign = foreign[:_WORDS_NAMED]
        words = ", ".join(foreign)
        suggestions = _suggestions(foreign, language)
        sentence = f"Nano cannot draw this: {words}; it knows words such as {', '.join(suggestions)}."
        raise RequestError("unknown-words", sentence, {"words": foreign, "suggestions": suggestions, "language": language})
    if len(understood.shapes) > nano_world.MAX_OBJECTS:
        limit, value = nano_world.MAX_OBJECTS, len(understood.shapes)
        sentence = f"Nano draws at most {limit} objects and this prompt names {value}; leave some out."
        raise RequestError("too-many-objects", sentence, {"limit": limit, "value": value, "prompts": offers})


def _language(prompt: str) -> str:
    return "ru" if any("\u0400" <= character <= "\u04ff" for character in prompt) else "en"


def _suggestions(unknown: list[str], language: str) -> list[str]:
    """Words to tap instead of the unknown ones: each word's nearest first, then its next nearest."""
    ranked = [nano_world.suggest(word, language, _SUGGESTIONS) for word in unknown]
    turns = [words[turn] for turn in range(_SUGGESTIONS) for words in ranked if turn < len(words)]
    return list(dict.fromkeys(turns))[:_SUGGESTIONS]
