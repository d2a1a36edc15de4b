"""A family of pictures as one sheet: small copies with their names, a line from each to what was made of it.

Pillow only; call it in a thread. Words of how a picture was made are not drawn, for Pillow's own font has no Russian: each
way has a coloured mark, in the sheet and as a sign in the text and on the buttons.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from bot.presentation import small_copy
from engine.recipe import encode_marked
from storage.domain import UPLOAD, Picture

ROOT, REMIX = "words", "remix"
SIGNS: Mapping[str, str] = {  # of the ways in which a picture comes to be
    ROOT: "⚪", REMIX: "🟡", UPLOAD: "⚫", "variation": "🟣", "inpaint": "🔴", "outpaint": "🟢", "keep-outline": "🟤",
    "mix": "🟠", "upscale": "🔵", "image-to-image": "🟧", "refine": "🟦", "regions": "🟩",
}  # fmt: skip
_COLOURS = {
    "⚪": (236, 238, 242), "🟡": (247, 201, 62), "⚫": (16, 17, 20), "🟣": (160, 98, 214), "🔴": (224, 62, 62),
    "🟢": (92, 176, 84), "🟤": (142, 92, 68), "🟠": (240, 140, 52), "🔵": (66, 133, 236), "🟧": (240, 140, 52),
    "🟦": (66, 133, 236), "🟩": (92, 176, 84),
}  # fmt: skip
_SQUARES = frozenset("🟧🟦🟩")

_TILE, _LABEL, _GAP = 220, 40, 56  # pixels
_MARK = 24
_EDGE = 5
_LARGEST = 2400  # pixels a side of the sheet
_TALL = 5  # rows that need no folding
_SHAPE = 0.75  # of its width to its height, about
_WALL, _LINE, _INK, _GONE, _FOCUS = (36, 39, 46), (126, 132, 144), (236, 238, 242), (58, 61, 68), (247, 201, 62)


@dataclass(frozen=True)
class Member:
    """A picture of a family; None is one that is gone. parent: its place among the members, None for the first."""

    picture: Picture | None
    parent: int | None
    thumbnail: bytes | None = None


def way(picture: Picture, born: bool) -> str:
    """How a picture came to be; born: from another one."""
    if picture.operation == "text-to-image":
        return REMIX if born else ROOT
    return picture.operation


def sign(picture: Picture, born: bool) -> str:
    """The sign of that way."""
    return SIGNS.get(way(picture, born), "⚪")


def places(parents: Sequence[int | None]) -> list[tuple[float, int]]:
    """Where each member stands: (across, down), one step apart; a parent stands in the middle of its children."""
    children: list[list[int]] = [[] for _ in parents]
    for member, parent in enumerate(parents):
        if parent is not None:
            children[parent].append(member)
    across: list[float] = [0.0] * len(parents)
    depth = [0] * len(parents)
    for member, parent in enumerate(parents):  # parents come first
        depth[member] = 0 if parent is None else depth[parent] + 1
    free = 0
    stack = [(member, False) for member in reversed(range(len(parents))) if parents[member] is None]
    while stack:
        member, done = stack.pop()
        if done:
            across[member] = (across[children[member][0]] + across[children[member][-1]]) / 2
        elif children[member]:
            stack.append((member, True))
            stack += [(child, False) for child in reversed(children[member])]
        else:
            across[member], free = float(free), free + 1
    return list(zip(across, depth, strict=True))


def draw(members: Sequence[Member], focus: int) -> bytes:
    """Draw a family, as JPEG. focus: the id of the picture that was asked about; it has a golden frame."""
    at = places([member.parent for member in members])
    turned = max(across for across, _ in at) > max(down for _, down in at)
    spots = _folded([(float(down), across) if turned else (across, float(down)) for across, down in at])
    pitch = (_TILE + _GAP, _TILE + _LABEL + _GAP)
    corners = [(round(_GAP + column * pitch[0]), round(_GAP + row * pitch[1])) for column, row in spots]
    right, bottom = (max(corner[axis] for corner in corners) + pitch[axis] for axis in (0, 1))
    sheet = Image.new("RGB", (right, bottom), _WALL)
    pen = ImageDraw.Draw(sheet)
    for place, member in enumerate(members):
        if member.parent is not None:
            sideways = turned or spots[place][1] <= spots[member.parent][1]
            _line(pen, corners[member.parent], corners[place], sideways)
    for corner, member in zip(corners, members, strict=True):
        _tile(sheet, pen, corner, member, focus)
    sheet.thumbnail((_LARGEST, _LARGEST), Image.Resampling.LANCZOS)
    return encode_marked(sheet, "JPEG")


def _folded(spots: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Break a tall sheet into strips beside each other, so that it has about the shape of a phone: (column, row) of each."""
    columns, rows = (math.ceil(max(spot[axis] for spot in spots)) + 1 for axis in (0, 1))

    if rows <= _TALL:
        return list(spots)

    def apart(strips: int) -> float:
        return abs(math.log(columns * strips / math.ceil(rows / strips) / _SHAPE))

    high = math.ceil(rows / min(range(1, rows + 1), key=apart))
    return [(column + columns * (row // high), row % high) for column, row in spots]


def _line(pen: ImageDraw.ImageDraw, parent: tuple[int, int], child: tuple[int, int], sideways: bool) -> None:
    """From the middle of the parent's lower side to that of the child's upper one, or from right to left, with two bends."""
    if sideways:
        start = parent[0] + _TILE, parent[1] + _TILE // 2
        end = child[0], child[1] + _TILE // 2
        half = end[0] - _GAP // 2
        bends = [(half, start[1]), (half, end[1])]
    else:
        start = parent[0] + _TILE // 2, parent[1] + _TILE + _LABEL
        end = child[0] + _TILE // 2, child[1]
        half = end[1] - _GAP // 2
        bends = [(start[0], half), (end[0], half)]
    pen.line([start, *bends, end], fill=_LINE, width=_EDGE, joint="curve")


def _tile(sheet: Image.Image, pen: ImageDraw.ImageDraw, corner: tuple[int, int], member: Member, focus: int) -> None:
    x, y = corner
    box = (x, y, x + _TILE, y + _TILE)
    if member.thumbnail is None:
        pen.rectangle(box, fill=_GONE)
        pen.line((x + 70, y + 70, x + _TILE - 70, y + _TILE - 70), fill=_LINE, width=_EDGE)
        pen.line((x + 70, y + _TILE - 70, x + _TILE - 70, y + 70), fill=_LINE, width=_EDGE)
    else:
        sheet.paste(small_copy(member.thumbnail, _TILE), corner)
    if member.picture is None:
        return
    if member.picture.id == focus:
        pen.rectangle((x - _EDGE, y - _EDGE, x + _TILE + _EDGE, y + _TILE + _EDGE), outline=_FOCUS, width=_EDGE)
    mark = sign(member.picture, member.parent is not None)
    middle = y + _TILE + _LABEL // 2 + 2
    spot = (x, middle - _MARK // 2, x + _MARK, middle + _MARK // 2)
    (pen.rectangle if mark in _SQUARES else pen.ellipse)(spot, fill=_COLOURS[mark], outline=_LINE, width=2)
    pen.text((x + _MARK + 12, middle), f"k-{member.picture.name}", fill=_INK, font=ImageFont.load_default(30), anchor="lm")
