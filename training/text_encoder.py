"""The text encoder: a small T5 that learns to tell the attributes of a scene from its caption, and is then frozen.

Linear heads on the mean of the last hidden state name background, style, how many different objects there are and how many of the
first, and colour, shape, size and place of both; "not said" is a class of its own. The heads are thrown away.
"""

from pathlib import Path
from random import Random

import torch
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import NFKC, Lowercase, Replace
from tokenizers.normalizers import Sequence as Normalizers
from tokenizers.pre_tokenizers import Punctuation, Whitespace
from tokenizers.pre_tokenizers import Sequence as PreTokenizers
from tokenizers.processors import TemplateProcessing
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

from engine.nano.lexicon import lexicon
from engine.nano_world import COLOURS, PLACES, SIZES
from training import warm
from training.captions import LANGUAGES, Caption, write_caption
from training.loop import Schedule, load_average
from training.scenes import TAUGHT, sample_scene, training_scene

WIDTH = 128
PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"
_SIZES = {"colour": len(COLOURS) + 1, "shape": len(TAUGHT.shapes) + 1, "size": len(SIZES) + 1, "place": len(PLACES) + 1}
_GENERAL = {"background": len(TAUGHT.backgrounds) + 1, "style": len(TAUGHT.styles) + 1, "things": 2, "count": TAUGHT.most}
QUESTIONS = _GENERAL | {f"{kind}{index}": classes for index in (1, 2) for kind, classes in _SIZES.items()}
"""Question -> number of answers; the last answer is "not said"."""


def build_tokenizer() -> PreTrainedTokenizerFast:
    """One token per word of the nano lexicon and per comma, `</s>` at the end; everything else is `<unk>`."""
    pieces = [PAD, END, UNKNOWN, *sorted(lexicon(TAUGHT))]
    tokenizer = Tokenizer(WordLevel({piece: index for index, piece in enumerate(pieces)}, unk_token=UNKNOWN))
    tokenizer.normalizer = Normalizers([
        NFKC(),
        Lowercase(),
        Replace(Regex("</?[a-z][^<>]*>"), " "),
        Replace("ё", "е"),
        Replace(Regex("[.;:!?—\\n]+"), " , "),
        Replace(Regex("[^\\w,]+"), " "),
        Replace(Regex("( *,)+ *"), " , "),
    ])  # fmt: skip
    tokenizer.pre_tokenizer = PreTokenizers([Whitespace(), Punctuation()])
    tokenizer.post_processor = TemplateProcessing(single=f"$A {END}", special_tokens=[(END, 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, unk_token=UNKNOWN, model_max_length=128
    )


def tokenize(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask, padded to the longest: (B, L) and (B, L)."""
    batch = tokenizer(texts, padding=True, truncation=True, max_length=128, return_tensors="pt")
    return batch["input_ids"], batch["attention_mask"]


def answers(caption: Caption) -> list[int]:
    """The right answer to every question, in the order of `QUESTIONS`."""
    found = [_index(TAUGHT.backgrounds, caption.background), _index(TAUGHT.styles, caption.style)]
    found += [len(caption.things) - 1, caption.things[0].count - 1]
    for index in range(2):
        thing = caption.things[index] if index < len(caption.things) else None
        found.append(_index(COLOURS, thing.colour if thing else None))
        found.append(_index(TAUGHT.shapes, thing.shape if thing else None))
        found.append(_index(SIZES, thing.size if thing else None))
        found.append(_index(PLACES, thing.place if thing else None))
    return found


def _index(names: tuple[str, ...], name: str | None) -> int:
    return len(names) if name is None else names.index(name)


def build_text_encoder(tokenizer: PreTrainedTokenizerFast) -> T5EncoderModel:
    """The encoder with random weights: 0.5 M parameters."""
    config = T5Config(
        vocab_size=len(tokenizer), d_model=WIDTH, d_kv=32, d_ff=256, num_layers=3, num_heads=4,
        feed_forward_proj="gated-gelu", dropout_rate=0.0, pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    return T5EncoderModel(config)


class AttributeReader(nn.Module):
    """The encoder with one linear head per question."""

    def __init__(self, encoder: T5EncoderModel) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleList(nn.Linear(WIDTH, classes) for classes in QUESTIONS.values())

    def forward(self, ids: Tensor, mask: Tensor) -> list[Tensor]:
        state = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        mean = (state * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return [head(mean) for head in self.heads]


class TextEncoderRecipe:
    """Learn to read captions of unseen scenes."""

    name = "text-encoder"

    def __init__(self, schedule: Schedule | None = None) -> None:
        self.schedule = schedule or Schedule(steps=2400, learning_rate=2e-3, batch=128, decay=0.7)
        torch.manual_seed(0)
        self.tokenizer = build_tokenizer()
        self.trained = AttributeReader(build_text_encoder(self.tokenizer))

    def begin_with(self, folder: Path) -> list[str]:
        """Begin with a family's weights; returns what stays as it is, such as the heads."""
        return warm.text_encoder(folder, self.trained.encoder, self.tokenizer.get_vocab())

    def loss(self, batch: int, rng: Random) -> Tensor:
        captions = [write_caption(training_scene(rng), rng.choice(LANGUAGES), rng) for _ in range(batch)]
        logits = self.trained(*tokenize(self.tokenizer, [caption.text for caption in captions]))
        targets = torch.tensor([answers(caption) for caption in captions])
        losses = [F.cross_entropy(guess, targets[:, i], label_smoothing=0.02) for i, guess in enumerate(logits)]
        return torch.stack(losses).mean()


@torch.inference_mode()
def score(reader: AttributeReader, tokenizer: PreTrainedTokenizerFast, count: int = 1000, seed: int = 1) -> dict[str, float]:
    """Share of right answers per question, and of captions read without any mistake, over held-out captions of both languages."""
    rng = Random(seed)
    captions = []
    for index in range(count):
        kind = index % 4
        scene = sample_scene(
            rng, objects=2 if kind == 2 else 1, unseen=kind < 2, world=TAUGHT, group=rng.randint(2, 4) * (kind == 3)
        )
        captions.append(write_caption(scene, LANGUAGES[index // 4 % 2], rng))
    logits = reader(*tokenize(tokenizer, [caption.text for caption in captions]))
    right = torch.stack([guess.argmax(1) for guess in logits], 1) == torch.tensor([answers(caption) for caption in captions])
    shares = dict(zip(QUESTIONS, right.float().mean(0).tolist(), strict=True))
    return shares | {"all": right.all(1).float().mean().item()}


def load_text_encoder(cache: Path) -> tuple[T5EncoderModel, PreTrainedTokenizerFast]:
    """The trained encoder, frozen, and its tokenizer."""
    tokenizer = build_tokenizer()
    reader = AttributeReader(build_text_encoder(tokenizer))
    load_average(cache, TextEncoderRecipe.name, reader)
    return reader.encoder.eval().requires_grad_(False), tokenizer
