"""What all requests have in common, and their canonical JSON."""

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import TYPE_CHECKING, ClassVar, TypeVar

from engine.request_fields import MAX_SEED, PICTURE_FIELDS, RULES, RequestError, Rule, not_a_request


def new_seed() -> int:
    """Draw a fresh seed for a picture nobody has asked to repeat."""
    return secrets.randbelow(MAX_SEED + 1)


@dataclass(frozen=True)
class Request:
    """A wish for the engine; every kind has a `seed` for its first picture, a `family` of weights and a `lane`.

    Fields are checked by the rule of their name when a request is made. rules: those in which a kind differs.
    Raises: RequestError for a value no family can serve; what one family serves is `catalog.check`.
    """

    kind: ClassVar[str]
    rules: ClassVar[Mapping[str, Rule]] = {}

    if TYPE_CHECKING:  # declared here, but each kind chooses where they stand among its fields

        @property
        def seed(self) -> int: ...
        @property
        def family(self) -> str: ...
        @property
        def lane(self) -> str: ...

    def __post_init__(self) -> None:
        for field in fields(self):
            rule = self.rules.get(field.name) or RULES[field.name]
            # the way a frozen dataclass normalises its own fields
            object.__setattr__(self, field.name, rule(field.name, getattr(self, field.name)))
        self._check_together()

    def _check_together(self) -> None:
        """Refuse fields that are good alone but not with each other."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of each picture, in pixels; 0 where a picture that the request names decides."""
        return getattr(self, "width", 0), getattr(self, "height", 0)

    @property
    def pictures(self) -> int:
        """How many pictures it asks for: what a quota counts."""
        return getattr(self, "num_images_per_prompt", 1)

    @property
    def sources(self) -> tuple[str, ...]:
        """Media ids of the pictures that it reads, each once."""
        named = [getattr(self, name, ()) for name in PICTURE_FIELDS]
        each = [media for value in named for media in (value if isinstance(value, tuple) else (value,))]
        return tuple(dict.fromkeys(media for media in each if media))


RequestClass = TypeVar("RequestClass", bound=type[Request])
_KINDS: dict[str, type[Request]] = {}


def kind(name: str) -> Callable[[RequestClass], RequestClass]:
    """Register a request class under the tag that its JSON carries."""

    def register(cls: RequestClass) -> RequestClass:
        cls.kind = name
        _KINDS[name] = cls
        return cls

    return register


def kinds() -> tuple[type[Request], ...]:
    """All kinds of requests."""
    return tuple(_KINDS.values())


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
        raise not_a_request("it is not JSON") from error
    if not isinstance(stored, dict):
        raise not_a_request("it is not a JSON object")
    name = stored.pop("kind", None)
    cls = _KINDS.get(name) if isinstance(name, str) else None
    if cls is None:
        values: dict[str, object] = {"kind": ascii(name)[:40], "family": ascii(stored.get("family"))[:40]}
        known = ", ".join(_KINDS)
        raise RequestError("kind-not-served", f"Requests of kind {name!a:.40} are not known; choose one of: {known}.", values)
    known_fields = {field.name: field for field in fields(cls)}
    for field_name in stored:
        if field_name not in known_fields:
            raise not_a_request(f"{name} has no field {field_name!a}")
    for field_name, field in known_fields.items():
        if field_name not in stored and field.default is MISSING:
            raise not_a_request(f"{name} needs {field_name!r}")
    return cls(**stored)
