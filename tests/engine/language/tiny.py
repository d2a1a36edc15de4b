"""Tiny language models in the real classes, on disk: random ones, and ones whose weights say one text."""

import itertools
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, normalizers, processors
from tokenizers.models import BPE
from transformers.models.mistral.configuration_mistral import MistralConfig
from transformers.models.mistral.modeling_mistral import MistralForCausalLM

from engine import catalog
from engine.weights import Folder

SPECIAL = ("<unk>", "<s>", "</s>")
END = 2
LETTERS = "▁abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789#.,:;!?'\"()-абвгдежзийклмнопрстуфхцчшщъыьэюя"


def tokenizer(pieces: tuple[str, ...] = ()) -> Tokenizer:
    """A tokenizer of Mistral's kind: BPE with byte fallback, `▁` for blanks; pieces are further tokens, only ever decoded."""
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    vocabulary = {token: index for index, token in enumerate([*SPECIAL, *bytes_, *LETTERS, *pieces])}
    made = Tokenizer(BPE(vocab=vocabulary, merges=[], unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    made.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL])
    return made


def network(vocabulary: int, hidden: int = 64, layers: int = 2, spread: float = 0.2) -> MistralForCausalLM:
    config = MistralConfig(
        vocab_size=vocabulary, hidden_size=hidden, intermediate_size=128, num_hidden_layers=layers, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, max_position_embeddings=2048, eos_token_id=END, initializer_range=spread,
    )  # fmt: skip
    return MistralForCausalLM(config).eval()


def family_folder(path: Path) -> Folder:
    """The big family's folder, which has the parts that these tests put in it."""
    return Folder(catalog.family("kandinsky-3.1"), path)


def write_random(folder: Path, spread: float = 0.2) -> None:
    torch.manual_seed(0)
    words = tokenizer()
    _write(folder / "language_model", network(words.get_vocab_size(), spread=spread), words)


def write_scripted(folder: Path, answer: str) -> None:
    """Write a network that answers every prompt with one text: each token's embedding names the next one."""
    pieces = _unlike_pieces(answer)
    words = tokenizer(pieces)
    ids = [words.token_to_id("<0x0A>"), *(words.token_to_id(piece) for piece in pieces), END]
    vocabulary = 4 * -(-words.get_vocab_size() // 4)
    speaker = network(vocabulary, hidden=vocabulary, layers=1)
    for parameter in speaker.parameters():
        parameter.data.zero_()
    speaker.model.norm.weight.data.fill_(1)
    speaker.model.embed_tokens.weight.data.copy_(torch.eye(vocabulary))
    speaker.lm_head.weight.data[END] = 0.5  # after a token that the answer does not have
    for token, following in itertools.pairwise(ids):
        speaker.lm_head.weight.data[following, token] = 1
    _write(folder / "language_model", speaker, words)


def _write(folder: Path, model: MistralForCausalLM, words: Tokenizer) -> None:
    model.save_pretrained(folder)
    words.save(str(folder / "tokenizer.json"))


def _unlike_pieces(answer: str) -> tuple[str, ...]:
    """Cut a text before blanks into pieces of which no two are alike: a token has but one successor."""
    pieces, piece = list[str](), ""
    for word in answer.replace(" ", "▁").replace("▁", " ▁").split(" "):
        piece += word
        if len(piece) > 1 and piece not in pieces:
            pieces.append(piece)
            piece = ""
    if piece:
        pieces[-1:] = [pieces[-1] + piece if pieces else piece]
    return tuple(pieces)
