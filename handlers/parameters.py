"""Parameters among the words of a message: "a red star --seed 7 --n 2".

What cannot be granted as it was asked is granted otherwise, and a remark says so.
"""

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from engine import catalog
from engine.requests import MAX_GUIDANCE, MAX_SEED, MAX_STEPS, GuidedRequest, Request, RequestError, TextToImage
from handlers.typed import DASHES, SPELLED, Flag, Typed, parse
from storage.domain import Remark

TOLD = {"no": "negative_prompt", "steps": "num_inference_steps", "cfg": "guidance_scale"}  # what only a careful sampler hears
_SHORTHANDS = ("flash", "base")  # of --engine; not listed
_ENGINES = {
    "flash": "flash",
    "флеш": "flash",
    "флэш": "flash",
    "быстро": "flash",
    "base": "base",
    "careful": "base",
    "тщательно": "base",
}
_EXAMPLES = {"ar": "4:3", "n": "2", "seed": "7", "engine": "base", "steps": "30", "cfg": "2"}
_RATIO = re.compile(r"(\d{1,6}(?:\.\d+)?)(?:[:/xх×*](\d{1,6}(?:\.\d+)?))?")
_SIZE = re.compile(r"(\d{1,6})(?:[xх×*](\d{1,6}))?")
_WHOLE = re.compile(r"([+-]?\d{1,40})(?:\.0*)?")
_NUMBER = re.compile(r"[+-]?\d{1,40}(?:\.\d{0,40})?")
_SAME_SHAPE = 0.03  # of the logarithm of two ratios: nobody sees so little
_GRID = 64  # pixels
_SHOWN = 40  # characters of a parameter that are quoted back


class ParameterError(Exception):
    """A parameter that cannot be read; `code` names the text in `locales/`, `values` what it shows.

    offers: what the person may have meant, as (label, whole message).  without: the message without it, "" if no words are left.
    """

    def __init__(
        self, code: str, values: Mapping[str, object], offers: tuple[tuple[str, str], ...] = (), without: str = ""
    ) -> None:
        super().__init__(code)
        self.code, self.values, self.offers, self.without = code, values, offers, without


@dataclass(frozen=True)
class Asked:
    """What a message asks for. raw: its words are not to be embellished."""

    request: TextToImage
    remarks: tuple[Remark, ...]
    raw: bool = False


@dataclass(frozen=True)
class AskedAbout:
    """What words about a picture ask for."""

    request: Request
    remarks: tuple[Remark, ...]


def read(text: str, family: str, seed: int, size: catalog.Size, pictures: int, lanes: Collection[str] | None = None) -> Asked:
    """Make the request that a message asks for; what it leaves open is given.

    lanes: those that are served; None for all of the family's.  Raises: ParameterError; RequestError from the catalogue.
    """
    typed = _parsed(text, family)
    reading = _Reading(typed, family, lanes)
    width, height = reading.size(size)
    pictures = reading.whole("n", pictures, 1, catalog.family(family).max_pictures)
    seed = reading.whole("seed", seed, 0, MAX_SEED)
    values = reading.care()
    request = catalog.text_to_image(
        family, typed.words, seed, width=width, height=height, num_images_per_prompt=pictures, **values
    )
    return Asked(request, tuple(reading.echo(request)), "raw" in reading.flags)


def read_about(
    text: str,
    make: Callable[[str, int], Request],
    family: str,
    seed: int,
    lanes: Collection[str] | None = None,
    wordless: bool = False,
) -> AskedAbout:
    """Read words about a picture as any others. make: the request of a prompt and a seed; the parameters then change it.

    wordless: parameters alone are enough.  Raises: ParameterError; RequestError, also where there are no words.
    """
    typed = _parsed(text, family)
    if not (typed.words or wordless):
        raise RequestError("prompt-empty", "The prompt is empty; describe the picture in words.")
    reading = _Reading(typed, family, lanes)
    request = make(typed.words, reading.whole("seed", seed, 0, MAX_SEED))
    if values := reading.over(request):
        request = replace(request, **values)
        catalog.check(request)
    return AskedAbout(request, tuple(reading.echo(request)))


def _parsed(text: str, family: str) -> Typed:
    typed = parse(text)
    for flag in typed.flags:
        if flag.name is None:
            raise _unknown(flag, typed, family)
    return typed


class _Reading:
    """Turns parameters into values of a request, and remembers what has to be said of them. Of two alike the last one counts."""

    def __init__(self, typed: Typed, family: str, lanes: Collection[str] | None) -> None:
        self.typed, self.family = typed, catalog.family(family)
        self.flags = {flag.name: flag for flag in typed.flags}
        self.here = self.family.lanes if lanes is None else lanes
        self.changed: list[Remark] = []
        self._sized = False

    def whole(self, name: str, otherwise: int, minimum: int, maximum: int) -> int:
        flag = self.flags.get(name)
        if flag is None:
            return otherwise
        found = _WHOLE.fullmatch(_number(flag.value))
        if found is None:
            raise self._unreadable("refused.parameter-whole", flag, _EXAMPLES[name], minimum=minimum, maximum=maximum)
        return int(self._clamped(flag, int(found[1]), minimum, maximum))

    def number(self, name: str, minimum: float, maximum: float) -> float:
        flag = self.flags[name]
        if not _NUMBER.fullmatch(_number(flag.value)):
            raise self._unreadable("refused.parameter-number", flag, _EXAMPLES[name], minimum=minimum, maximum=maximum)
        return self._clamped(flag, float(_number(flag.value)), minimum, maximum)

    def size(self, otherwise: catalog.Size) -> catalog.Size:
        """The size that is asked for by its sides or by their ratio, or the nearest that the family serves."""
        flag = self._size_flag()
        if flag is None:
            return otherwise
        size, exact = self._shaped(flag) if flag.name == "ar" else self._sides(flag)
        shown = f"{size[0]}×{size[1]}"
        self._sized = len(self.family.sizes) > 1
        if not exact and self._sized:
            self.changed.append(Remark("changed.size", {"typed": _short(flag.typed), "size": shown}))
        elif not exact:
            self.changed.append(Remark("changed.one-size", {"size": shown}))
        return size

    def _size_flag(self) -> Flag | None:
        return next((flag for flag in reversed(self.typed.flags) if flag.name in ("ar", "size")), None)

    def over(self, request: Request) -> dict[str, Any]:
        """What parameters change of a request that starts from a picture, and is always drawn with care."""
        known = {field.name for field in fields(request)}
        values: dict[str, Any] = {}
        flag = self._size_flag()
        if flag is not None and "width" in known:
            values["width"], values["height"] = self.size(request.size)
        elif flag is not None:
            self.changed.append(Remark("changed.picture-size", {"typed": _short(flag.typed)}))
        if "n" in self.flags:
            values["num_images_per_prompt"] = self.whole("n", 1, 1, self.family.max_pictures)
        if self._engine() == "flash":
            self.changed.append(Remark("changed.care-over-pictures"))
        return values | self._told()

    def _shaped(self, flag: Flag) -> tuple[catalog.Size, bool]:
        found = _RATIO.fullmatch(_number(flag.value).replace(" ", ""))
        across, down = (float(found[1]), float(found[2] or 1)) if found else (0.0, 0.0)
        if not across or not down:
            raise self._unreadable("refused.parameter-ratio", flag, self._likely("ar"))
        usual = math.prod(self.family.default_size)

        def apart(size: catalog.Size) -> float:
            return round(abs(math.log(size[0] / size[1] * down / across)), 6)

        size = min(self.family.sizes, key=lambda size: (apart(size), abs(math.prod(size) - usual)))
        return size, apart(size) < _SAME_SHAPE

    def _sides(self, flag: Flag) -> tuple[catalog.Size, bool]:
        found = _SIZE.fullmatch(flag.value.casefold().replace(" ", ""))
        width, height = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not width or not height:
            raise self._unreadable("refused.parameter-size", flag, self._likely("size"))
        even = max(_GRID, round(width / _GRID) * _GRID), max(_GRID, round(height / _GRID) * _GRID)
        free = self.family.free_sizes
        if (width, height) in self.family.sizes or (free and free.allow(*even)):
            size = (width, height) if (width, height) in self.family.sizes else even
        else:
            size = min(self.family.sizes, key=lambda s: abs(math.log(s[0] / width)) + abs(math.log(s[1] / height)))
        return size, size == (width, height)

    def care(self) -> dict[str, Any]:
        """The sampler, and what it is told; only the careful one can be told anything."""
        return self._told() | {"flash": self._flash([f"--{name}" for name in TOLD if name in self.flags])}

    def _told(self) -> dict[str, Any]:
        """What the careful sampler is told."""
        values: dict[str, Any] = {}
        if "no" in self.flags:
            if not self.flags["no"].value:
                raise self._unreadable("refused.parameter-empty", self.flags["no"], "")
            values["negative_prompt"] = self.flags["no"].value
        if "steps" in self.flags:
            values["num_inference_steps"] = self.whole("steps", 0, 1, MAX_STEPS)
        if "cfg" in self.flags:
            values["guidance_scale"] = self.number("cfg", 0, int(MAX_GUIDANCE))
        return values

    def _flash(self, told: list[str]) -> bool:
        wanted = self._engine()
        lane = wanted or ("flash" if "flash" in self.family.lanes else "base")
        if lane not in self.here:
            other = "base" if lane == "flash" else "flash"
            if wanted and other in self.here:
                self.changed.append(Remark("changed.no-flash" if lane == "flash" else "changed.no-base"))
                lane = other
        if lane == "flash" and told and "base" in self.here:
            self.changed.append(Remark("changed.careful", {"typed": told}))
            lane = "base"
        elif lane == "flash" and told:
            self.changed.append(Remark("changed.not-heard", {"typed": told}))
        return lane == "flash"

    def _engine(self) -> str | None:
        flag = next((flag for flag in reversed(self.typed.flags) if flag.name in ("engine", "flash", "base")), None)
        if flag is None or flag.name in _SHORTHANDS:
            return flag.name if flag else None
        named = _ENGINES.get(flag.value.casefold())
        if named is None:
            lanes = [name for name in _SHORTHANDS if name in self.here]
            offers = tuple((f"--engine {lane}", self.typed.having(flag, f"--engine {lane}")) for lane in lanes)
            values = {"typed": _short(flag.typed), "choices": lanes}
            raise ParameterError("refused.parameter-engine", values, _sayable(offers), self.typed.having(flag, ""))
        return named

    def echo(self, request: Request) -> Iterator[Remark]:
        """What was asked for, in the order in which a caption has it, then what became otherwise."""
        if {"engine", *_SHORTHANDS, "no", "steps", "cfg"} & self.flags.keys():
            yield Remark("asked.flash" if isinstance(request, TextToImage) and request.flash else "asked.base")
        if self._sized:
            width, height = request.size
            yield Remark("asked.size", {"size": f"{width}×{height}"})
        if "seed" in self.flags:
            yield Remark("asked.seed", {"seed": request.seed})
        if "n" in self.flags:
            yield Remark("asked.pictures", {"pictures": request.pictures})
        yield from details(request, self.flags.keys())
        if "raw" in self.flags:
            yield Remark("asked.raw")
        yield from self.changed

    def _clamped(self, flag: Flag, number: float, minimum: float, maximum: float) -> float:
        used = min(max(number, minimum), maximum)
        if used != number:
            values = {"typed": _short(flag.typed), "used": used, "minimum": minimum, "maximum": maximum}
            self.changed.append(Remark("changed.range", values))
        return used

    def _likely(self, name: str) -> str:
        width, height = self.family.default_size
        return f"{width}x{height}" if name == "size" else _EXAMPLES["ar"] if len(self.family.sizes) > 1 else "1:1"

    def _unreadable(self, code: str, flag: Flag, example: str, **limits: object) -> ParameterError:
        values = {"typed": _short(flag.typed), **limits}
        mended = f"--{flag.name} {example}"
        offers = ((mended, self.typed.having(flag, mended)),) if example else ()
        if example:
            values["example"] = mended
        return ParameterError(code, values, _sayable(offers), self.typed.having(flag, ""))


def details(request: Request, told: Collection[str | None] | None = None) -> Iterator[Remark]:
    """What the careful sampler is told beyond its family's defaults; `told`: by which parameters, if it is known."""
    if not isinstance(request, TextToImage | GuidedRequest) or (isinstance(request, TextToImage) and request.flash):
        return
    usual_steps, usual_guidance = _usual(request)
    if request.num_inference_steps != usual_steps or "steps" in (told or ()):
        yield Remark("asked.steps", {"steps": request.num_inference_steps})
    if request.guidance_scale != usual_guidance or "cfg" in (told or ()):
        yield Remark("asked.cfg", {"cfg": request.guidance_scale})
    if request.negative_prompt:
        yield Remark("asked.no", {"words": _short(request.negative_prompt)})


def _usual(request: TextToImage | GuidedRequest) -> tuple[int, float]:
    """Steps and guidance of a request that was told nothing."""
    served = catalog.family(request.family)
    if isinstance(request, TextToImage):
        return served.num_inference_steps, served.guidance_scale
    defaults = {field.name: field.default for field in fields(request)}
    guidance: Any = served.guidance_scales.get(request.kind, defaults["guidance_scale"])
    steps: Any = defaults["num_inference_steps"]
    return steps, guidance


def known(family: str) -> list[str]:
    """The parameters that a family has a use for, as they are typed."""
    left_out = {*_SHORTHANDS, *(("ar", "size") if len(catalog.family(family).sizes) == 1 else ())}
    return [f"--{name}" for name in SPELLED if name not in left_out]


def _unknown(flag: Flag, typed: Typed, family: str) -> ParameterError:
    offers: tuple[tuple[str, str], ...] = ()
    if flag.near:
        meant = f"--{flag.near} {flag.value}".strip()
        offers = ((_short(meant), typed.having(flag, meant)),)
    values: dict[str, object] = {"typed": _short(flag.typed.partition(" ")[0]), "known": known(family)}
    return ParameterError("refused.parameter-unknown", values, _sayable(offers), typed.having(flag, ""))


def _sayable(offers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple((label, prompt) for label, prompt in offers if prompt)


def _number(value: str) -> str:
    """A number as Python writes it: a comma is a decimal point, any dash a minus."""
    return re.sub(rf"[{DASHES}]", "-", value.casefold().replace(",", "."))


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1].rstrip() + "…"
