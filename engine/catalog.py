"""The families of weights and what each of them serves: sizes, kinds, defaults, limits.

Loads no network: a bot process reads menus from here and checks requests before they are stored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from engine import nano_world
from engine.requests import MAX_PICTURES, Request, RequestError, TextToImage

TextPath = Literal["official", "diffusers", "fork"]
PredictionType = Literal["epsilon", "v_prediction"]
Size = tuple[int, int]  # width, height in pixels

DEFAULT_FAMILY = "kandinsky-nano"
PACKAGED_WEIGHTS = Path(__file__).parent / "data"
FETCHED_WEIGHTS = Path.home() / ".local" / "share" / "kandinsky-bot" / "weights"
_SUGGESTIONS = 6
_WORDS_NAMED = 8  # unknown words quoted back; a whole page of them helps nobody


@dataclass(frozen=True)
class LaneWeights:
    """Where a lane's own tensors lie in the family's folder; text encoder and decoder are shared by all lanes."""

    unet: str = "unet"
    conditioning: str = "conditioning.safetensors"


@dataclass(frozen=True)
class MemoryPlan:
    """One way to hold the weights; `dtype` is the UNet's and text encoder's on an accelerator (a CPU runs float32)."""

    name: str
    dtype: Literal["float32", "bfloat16"]
    gigabytes: float


@dataclass(frozen=True, eq=False)  # one instance per family; mappings have no hash
class Family:
    """A set of weights that serves requests.

    sizes: (width, height) served.  languages: of prompts.  small_world: prompts are limited to the words of `nano_world`.
    text_path: how its text conditioning was trained (shared/engine-facts.md 3).  threshold: quantile of dynamic thresholding
    in the base sampler.  weights: a hub repository, or "package".  mend: what to do when they are missing or damaged.
    """

    name: str
    title: str
    kinds: tuple[str, ...]
    lanes: tuple[str, ...]
    lane_weights: Mapping[str, LaneWeights]
    sizes: tuple[Size, ...]
    default_size: Size
    languages: tuple[str, ...]
    text_path: TextPath
    prediction_type: PredictionType
    weights: str
    licence: str
    memory: tuple[MemoryPlan, ...]
    mend: str
    examples: Mapping[str, tuple[str, ...]]
    small_world: bool = False
    num_inference_steps: int = 50
    guidance_scale: float = 3.0
    eta: float = 1.0
    threshold: float = 0.99
    max_pictures: int = MAX_PICTURES


@dataclass(frozen=True)
class Route:
    """Which workers serve a request."""

    family: str
    lane: str

    @property
    def queue(self) -> str:
        """Name of the Celery queue whose bell wakes them."""
        return f"{self.family}.{self.lane}"


_NANO = Family(
    name="kandinsky-nano",
    title="Kandinsky nano",
    kinds=(TextToImage.kind,),
    lanes=("flash", "base"),
    lane_weights=MappingProxyType({"flash": LaneWeights(), "base": LaneWeights()}),  # Flash is the same UNet in four steps
    sizes=((128, 128),),
    default_size=(128, 128),
    languages=("en", "ru"),
    text_path="official",
    prediction_type="v_prediction",
    weights="package",
    licence="Apache-2.0",
    memory=(MemoryPlan("full", "float32", 0.1),),
    mend="install kandinsky-bot again, or restore engine/data/kandinsky-nano from git",
    small_world=True,
    guidance_scale=0.5,  # measured: more bends the outlines (training/README.md)
    examples=nano_world.EXAMPLES,
)

_KANDINSKY_3_1 = Family(
    name="kandinsky-3.1",
    title="Kandinsky 3.1",
    kinds=(TextToImage.kind,),
    lanes=("flash", "base"),
    lane_weights=MappingProxyType(
        {
            "flash": LaneWeights("unet_flash", "conditioning_flash.safetensors"),
            "base": LaneWeights("unet", "conditioning.safetensors"),
        }
    ),
    sizes=tuple(product(range(768, 1025, 64), range(768, 1025, 64))),  # the last stage of training mixed sides of 768 to 1024
    default_size=(1024, 1024),
    languages=("en",),
    text_path="official",
    prediction_type="epsilon",
    weights="ai-forever/Kandinsky3.1",
    licence="Apache-2.0",
    memory=(MemoryPlan("full", "bfloat16", 26.0),),
    mend="put its converted weights into the folder kandinsky-bot/weights/kandinsky-3.1 of ~/.local/share",
    examples=MappingProxyType(
        {
            "en": (
                "A cat in glasses at a computer",
                "Lego figure at the waterfall",
                "A red apple on a wooden table, soft morning light",
                "An old lighthouse in a storm, oil painting",
            )
        }
    ),
)

_FAMILIES: Mapping[str, Family] = MappingProxyType({each.name: each for each in (_NANO, _KANDINSKY_3_1)})


def families() -> tuple[Family, ...]:
    """All families the engine knows, whether or not their weights are on this machine."""
    return tuple(_FAMILIES.values())


def family(name: str) -> Family:
    """Find a family by name.

    Raises: RequestError "family-unknown".
    """
    if name not in _FAMILIES:
        known = list(_FAMILIES)
        sentence = f"There is no family {name!a:.60}; choose one of: {', '.join(known)}."
        raise RequestError("family-unknown", sentence, {"value": name[:60], "families": known})
    return _FAMILIES[name]


def weights_folder(name: str) -> Path:
    """Folder that holds, or will hold, a family's weights."""
    return (PACKAGED_WEIGHTS if family(name).weights == "package" else FETCHED_WEIGHTS) / name


def available(name: str) -> bool:
    """Whether a family's weights are on this machine; menus offer no other."""
    return weights_folder(name).is_dir()


def text_to_image(family_name: str, prompt: str, seed: int, **overrides: Any) -> TextToImage:
    """Make a complete request: what is not given comes from the family's defaults.

    Raises: RequestError, also for a family, size or prompt that `check` refuses.
    """
    served = family(family_name)
    width, height = served.default_size
    defaults: dict[str, Any] = {
        "width": width,
        "height": height,
        "num_images_per_prompt": served.max_pictures,
        "num_inference_steps": served.num_inference_steps,
        "guidance_scale": served.guidance_scale,
        "eta": served.eta,
    }
    request = TextToImage(prompt, seed, family=served.name, **(defaults | overrides))
    check(request)
    return request


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
    if isinstance(request, TextToImage):
        _check_size(served, request.width, request.height)
        _check_pictures(served, request.num_images_per_prompt)
        if served.small_world:
            _check_words(request)


def examples(family_name: str, language: str) -> tuple[str, ...]:
    """Prompts to tap, in the language if the family speaks it, else in its first one."""
    served = family(family_name)
    return served.examples[language if language in served.examples else served.languages[0]]


def _check_size(served: Family, width: int, height: int) -> None:
    if (width, height) not in served.sizes:
        sizes = [f"{w}x{h}" for w, h in served.sizes]
        sentence = f"{served.title} does not draw {width}x{height}; choose one of: {', '.join(sizes)}."
        raise RequestError("size-not-served", sentence, {"value": f"{width}x{height}", "sizes": sizes})


def _check_pictures(served: Family, pictures: int) -> None:
    if pictures > served.max_pictures:
        sentence = f"{served.title} draws at most {served.max_pictures} pictures at once, not {pictures}; ask for fewer."
        raise RequestError("number-of-pictures", sentence, {"minimum": 1, "maximum": served.max_pictures, "value": pictures})


def _check_words(request: TextToImage) -> None:
    """Honest nano: a prompt outside its small world is refused with words it knows, never drawn as a blob."""
    language = _language(request.prompt)
    understood = nano_world.parse(request.prompt)
    unknown = understood.unknown
    if not request.flash:  # Flash does not read it
        unknown = tuple(dict.fromkeys(unknown + nano_world.parse(request.negative_prompt).unknown))
    foreign = [word for word in unknown if nano_world.normalise(word) not in nano_world.LEXICON]
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
        raise RequestError("too-many-objects", sentence, {"limit": limit, "value": value})


def _language(prompt: str) -> str:
    return "ru" if any("\u0400" <= character <= "\u04ff" for character in prompt) else "en"


def _suggestions(unknown: list[str], language: str) -> list[str]:
    """Words to tap instead of the unknown ones: each word's nearest first, then its next nearest."""
    ranked = [nano_world.suggest(word, language, _SUGGESTIONS) for word in unknown]
    turns = [words[turn] for turn in range(_SUGGESTIONS) for words in ranked if turn < len(words)]
    return list(dict.fromkeys(turns))[:_SUGGESTIONS]
