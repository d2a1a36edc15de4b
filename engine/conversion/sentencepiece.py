"""T5's tokenizer from the file that SentencePiece writes, without that library: the pieces, their scores and one table.

Source: google/sentencepiece src/sentencepiece_model.proto; huggingface/transformers models/t5/tokenization_t5.py.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import Unigram
from tokenizers.processors import TemplateProcessing

from engine.errors import WeightsError

_EXTRA = 100  # places of T5 that no text fills
_END, _UNKNOWN = "</s>", 2
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_SPACE = "\u2581"


def tokenizer_of(path: Path) -> Tokenizer:
    """Build the tokenizer of a T5 encoder. Raises: WeightsError if the file is no unigram model."""
    try:
        fields = list(_fields(path.read_bytes()))
        pieces = [_piece(value) for number, value in fields if number == 1 and isinstance(value, bytes)]
        tables = [v for number, spec in fields if number == 3 and isinstance(spec, bytes) for n, v in _fields(spec) if n == 2]
        if not pieces or [piece for piece, _ in pieces[1:2]] != [_END]:
            raise ValueError("it is not T5's")
        pieces += [(f"<extra_id_{index}>", 0.0) for index in reversed(range(_EXTRA))]
        tokenizer = Tokenizer(Unigram(pieces, unk_id=_UNKNOWN, byte_fallback=False))
        if tables and isinstance(tables[0], bytes) and tables[0]:
            tokenizer.normalizer = normalizers.Precompiled(tables[0])
    except Exception as error:  # tokenizers raises nothing narrower
        raise WeightsError(f"{path} is no tokenizer of T5 ({str(error)[:60]}); download it again.") from error
    space = pre_tokenizers.Metaspace(replacement=_SPACE, prepend_scheme="always")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), space])
    tokenizer.post_processor = TemplateProcessing(single=f"$A {_END}", special_tokens=[(_END, 1)])
    tokenizer.add_special_tokens([AddedToken(piece, special=True) for piece, _ in pieces[:3]])
    return tokenizer


def _piece(message: bytes) -> tuple[str, float]:
    fields = dict(_fields(message))
    piece, score = fields[1], fields.get(2, b"\0\0\0\0")
    if not (isinstance(piece, bytes) and isinstance(score, bytes)):
        raise ValueError("a piece has no text")
    return piece.decode(), struct.unpack("<f", score)[0]


def _fields(message: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Numbers and values of a protocol buffer's fields."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        kind = key & 7
        value: bytes | int
        if kind == _VARINT:
            value, place = _varint(message, place)
        else:
            length, place = _varint(message, place) if kind == _BYTES else ({_EIGHT_BYTES: 8, _FOUR_BYTES: 4}[kind], place)
            value, place = message[place : place + length], place + length
            if len(value) < length:
                raise ValueError("it ends too soon")
        yield key >> 3, value


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
