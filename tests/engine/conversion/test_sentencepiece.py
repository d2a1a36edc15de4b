"""T5's tokenizer from SentencePiece's own file: ids as the rules of unigram models give them."""

import struct
from pathlib import Path

import pytest

from engine.conversion.sentencepiece import tokenizer_of
from engine.errors import WeightsError

PIECES = [
    ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581a", -2.0), ("\u2581red", -3.0), ("\u2581", -4.0), ("r", -6.0),
    ("e", -6.0), ("d", -6.0), ("\u2581circle", -3.5), ("s", -5.0), ("a", -5.5),
]  # fmt: skip


def varint(value: int) -> bytes:
    low, rest = value & 127, value >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def model() -> bytes:
    """A protocol buffer as SentencePiece writes it: pieces, trainer's settings, normaliser's settings."""
    pieces = b"".join(
        field(1, field(1, text.encode()) + varint(2 << 3 | 5) + struct.pack("<f", score) + varint(3 << 3) + varint(1))
        for text, score in PIECES
    )
    return pieces + field(2, varint(3 << 3) + varint(1)) + field(3, field(1, b"nmt_nfkc"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "spiece.model").write_bytes(model())
    return tmp_path / "spiece.model"


@pytest.mark.parametrize(
    ("text", "ids"),
    [("a red circle", [3, 4, 9, 1]), ("  a   red ", [3, 4, 1]), ("reds", [4, 10, 1]), ("x", [5, 2, 1]), ("", [1])],
)
def test_the_likeliest_pieces_and_the_end(path: Path, text: str, ids: list[int]):
    assert tokenizer_of(path).encode(text).ids == ids


def test_a_hundred_places_follow_the_pieces(path: Path):
    tokenizer = tokenizer_of(path)
    assert tokenizer.get_vocab_size() == len(PIECES) + 100
    assert tokenizer.token_to_id("<extra_id_0>") == len(PIECES) + 99


def test_it_is_the_same_once_saved(path: Path, tmp_path: Path):
    from tokenizers import Tokenizer

    tokenizer_of(path).save(str(tmp_path / "tokenizer.json"))
    assert Tokenizer.from_file(str(tmp_path / "tokenizer.json")).encode("a red circle").ids == [3, 4, 9, 1]


@pytest.mark.parametrize("content", [b"", b"hello", model()[:100], b"\xff" * 50])
def test_what_is_no_such_file_is_named(tmp_path: Path, content: bytes):
    (tmp_path / "spiece.model").write_bytes(content)
    with pytest.raises(WeightsError, match=r"spiece\.model is no tokenizer"):
        tokenizer_of(tmp_path / "spiece.model")
