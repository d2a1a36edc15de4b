"""What a picture's file says of itself: that it was generated, always; and how to draw it again, unless that is not wanted.

The mark is IPTC's DigitalSourceType in an XMP packet, which tools for pictures read. The recipe is JSON, as a text of a PNG and
as the comment of a JPEG. Needs Pillow alone.
"""

import io
import json
from dataclasses import asdict, dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, cast

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from engine.errors import EngineError
from engine.requests import Request, RequestError, from_json, to_json

Format = Literal["PNG", "JPEG"]

GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
_KEY = "kandinsky-bot"
_XMP_KEY = "XML:com.adobe.xmp"
_LARGEST_COMMENT = 65_533  # bytes of a JPEG's segment
_XMP = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    xmp:CreatorTool="kandinsky-bot"
    Iptc4xmpExt:DigitalSourceType="{GENERATED}"/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""


class RecipeError(EngineError):
    """A file has no recipe that can be used; the message names it and the next step."""


@dataclass(frozen=True)
class Recipe:
    """How a picture was drawn.

    request: canonical JSON.  index: which of its pictures this is.  seed: its own.  revision: fingerprint of all weights that
    shaped it.  device: "cpu" or "cuda".  version: of kandinsky-bot.
    """

    request: str
    index: int
    seed: int
    family: str
    revision: str
    device: str = "cpu"
    version: str = ""

    def asked(self) -> Request:
        """The request. Raises: RequestError for one that this version does not know."""
        return from_json(self.request)


def recipe_of(request: Request, index: int, seed: int, revision: str, device: str) -> Recipe:
    """The recipe of one picture that an engine drew."""
    return Recipe(to_json(request), index, seed, request.family, revision, device.partition(":")[0], version_here())


def encode(picture: Image.Image, recipe: Recipe | None, form: Format = "PNG", compress_level: int = 6) -> bytes:
    """Encode a picture with the mark, and with its recipe if there is one."""
    buffer = io.BytesIO()
    text = "" if recipe is None else json.dumps(asdict(recipe), ensure_ascii=False, sort_keys=True)
    if form == "PNG":
        picture.save(buffer, "PNG", pnginfo=_texts(text), compress_level=compress_level)
    else:
        comment = text.encode()  # a longer one is left out whole: half a recipe draws nothing
        picture.save(buffer, "JPEG", quality=95, subsampling=0, xmp=_XMP.encode(), comment=comment[: _fits(comment)])
    return buffer.getvalue()


def form_of(path: Path) -> Format:
    """The format that a file's name asks for. Raises: RecipeError for any but PNG and JPEG."""
    form = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}.get(path.suffix.lower())
    if form is None:
        raise RecipeError(f"{path} would be neither PNG nor JPEG, which alone can be marked as generated; name it .png or .jpg.")
    return cast(Format, form)


def encode_like(picture: Image.Image, original: bytes) -> bytes:
    """Encode a picture that was made from another one's file, as PNG: with the mark, and with the recipe of that file."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=_texts(_text_of(original)))
    return buffer.getvalue()


def encode_marked(picture: Image.Image, form: Format) -> bytes:
    """Encode a picture with the mark alone: a sheet of several, or what a chat shows."""
    return encode(picture, None, form)


def is_marked(data: bytes) -> bool:
    """Whether a file says that it was generated."""
    return GENERATED.encode() in data


def read(path: Path) -> Recipe:
    """Read the recipe in a file. Raises: RecipeError with the file and the next step."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RecipeError(f"{path} cannot be read ({error.strerror}); name another file.") from None
    try:
        with Image.open(io.BytesIO(data), formats=["PNG", "JPEG"]) as picture:
            picture.load()
    except Exception as error:  # Pillow raises a dozen kinds for files made to break it
        raise RecipeError(f"{path} is no whole PNG or JPEG; name the file as it was saved.") from error
    text = _text_of(data)
    if not text:
        kept = "its recipe was left out" if is_marked(data) else "chats and editors leave recipes out; save it as a file"
        raise RecipeError(f"{path} has no recipe of kandinsky-bot: {kept}.")
    return _parsed(text, path)


def stored_in(data: bytes) -> Recipe | None:
    """The recipe in a file's bytes; None if there is none that this version can use."""
    text = _text_of(data)
    try:
        return _parsed(text, Path("this file")) if text else None
    except RecipeError:
        return None


def _parsed(text: str, path: Path) -> Recipe:
    try:
        stored = json.loads(text)
        known = {field.name: stored[field.name] for field in fields(Recipe) if field.name in stored}
        recipe = Recipe(**known)
        types = [(field.type, known[field.name]) for field in fields(Recipe) if field.name in known]
        if not all(type(value) is kind for kind, value in types) or recipe.index < 0:
            raise ValueError("a field has another type")
        recipe.asked()
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        reason = str(error) if isinstance(error, RequestError) else "it is damaged"
        raise RecipeError(f"The recipe in {path} cannot be used: {reason}") from error
    return recipe


def _texts(text: str) -> PngInfo:
    info = PngInfo()
    info.add_itxt(_XMP_KEY, _XMP)
    if text:
        info.add_itxt(_KEY, text)
    return info


def _text_of(data: bytes) -> str:
    try:
        with Image.open(io.BytesIO(data), formats=["PNG", "JPEG"]) as picture:
            if picture.format == "PNG":
                picture.load()  # texts may stand behind the pixels
                return str(getattr(picture, "text", {}).get(_KEY, ""))
            comment = picture.info.get("comment", b"")
            text = bytes(comment).decode() if isinstance(comment, bytes) else ""
            return text if text.startswith("{") else ""
    except Exception:  # Pillow raises a dozen kinds for files made to break it
        return ""


def _fits(comment: bytes) -> int:
    return len(comment) if len(comment) <= _LARGEST_COMMENT else 0


def version_here() -> str:
    """Version of kandinsky-bot, "" if it is not installed."""
    try:
        return version("kandinsky-bot")
    except PackageNotFoundError:
        return ""
