"""The language model that beautifies and translates: a Mistral network that learns answers to the engine's own two templates.

The authors took `Intel/neural-chat-7b-v3-1` as it was, with the template that the article prints, and published no training; so
the schedules, the pairs and the template of translation are ours. Nano is the same class at two thirds of a million weights with
one token per word, from nothing; full size learns low-rank changes beside a checkpoint's linear layers and is written with them
merged. Only answers are learned: prompts and templates are read, never predicted. The states of a template's head, which is
longer than most prompts, are computed once for all examples of a batch, as the engine computes them once for all requests.
Source: engine-facts section 5; Hu et al. 2022 (LoRA), section 4.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from tokenizers import AddedToken, Regex, Tokenizer, decoders
from tokenizers.models import WordLevel
from tokenizers.normalizers import NFKC, Lowercase, Replace
from tokenizers.normalizers import Sequence as Normalizers
from tokenizers.pre_tokenizers import Whitespace
from torch import Tensor, nn
from transformers.cache_utils import DynamicCache
from transformers.models.mistral.configuration_mistral import MistralConfig
from transformers.models.mistral.modeling_mistral import MistralForCausalLM

from engine import catalog
from engine.errors import EngineError
from engine.language import glossary
from engine.language.model import LanguageModel, load
from engine.language.writer import PromptWriter
from engine.nano_world import LEXICON
from engine.weights import Folder
from training.data import DataError
from training.export import save_tensors, write_text
from training.language_pairs import TASKS, NanoPairs, Pair, Pairs
from training.language_score import score
from training.loop import Schedule
from training.lora import LowRank
from training.text_encoder import build_tokenizer as text_encoder_tokenizer

FOLDER = "language_model"
UNKNOWN, BEGIN, END = "<unk>", "<s>", "</s>"
LONGEST = 512  # tokens of a pair with its template
HELD_OUT = 40  # prompts of a task that figures are measured on
NANO_CONFIG: Mapping[str, object] = {
    "hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 32, "max_position_embeddings": 1024, "sliding_window": None, "tie_word_embeddings": True,
}  # fmt: skip
_BY_WORD = ("model.embed_tokens.weight", "lm_head.weight")
_LINES, _LINE, _WIDTH = 16, 18, 900  # of a sheet


@dataclass(frozen=True)
class Preset:
    """Sizes and settings. config: of a network from nothing.  rank: of the changes to one that is there, if not 0."""

    schedule: Schedule
    config: Mapping[str, object] = field(default_factory=dict)
    rank: int = 0


PRESETS: Mapping[str, Preset] = {
    "nano": Preset(
        Schedule(steps=1200, learning_rate=3e-3, batch=64, warmup=60, decay=0.7, betas=(0.9, 0.98), average=0.99), NANO_CONFIG
    ),
    "full": Preset(
        Schedule(steps=2000, learning_rate=1e-4, batch=16, warmup=100, decay=1.0, weight_decay=0.0, average=0.99), rank=16
    ),
}


def build_tokenizer() -> Tokenizer:
    """One token per word of the nano lexicon and of the templates, and one per pause; everything else is `<unk>`.

    Case, ё, quotes and markup do not matter, as to the parser of prompts. Decoding puts blanks between words.
    """
    tokenizer = Tokenizer(WordLevel({}, unk_token=UNKNOWN))
    tokenizer.normalizer = Normalizers([
        NFKC(),
        Lowercase(),
        Replace("ё", "е"),
        Replace(Regex(r"(?<!#)#(?!#)"), " "),
        Replace(Regex(r"[.;:!?—\n&+]+"), " , "),
        Replace(Regex(r"[^\p{L}\p{N}\s,#\p{So}]+"), " "),
        Replace(Regex(r"(\s*,)+\s*"), " , "),
    ])  # fmt: skip
    tokenizer.pre_tokenizer = Whitespace()
    words = set(LEXICON)
    for template in TASKS.values():
        text = tokenizer.normalizer.normalize_str(template.filled(""))
        words |= {word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)}
    special = [UNKNOWN, BEGIN, END]
    pieces = {piece: index for index, piece in enumerate([*special, *sorted(words)])}
    tokenizer.model = WordLevel(pieces, unk_token=UNKNOWN)
    tokenizer.decoder = decoders.WordPiece(cleanup=True)  # a comma follows its word
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    return tokenizer


def build_model(config: Mapping[str, object]) -> LanguageModel:
    """A network with random weights and the nano tokenizer."""
    tokenizer = build_tokenizer()
    ids = {"bos_token_id": tokenizer.token_to_id(BEGIN), "eos_token_id": tokenizer.token_to_id(END)}
    sizes = {"vocab_size": tokenizer.get_vocab_size(), **ids, **config}
    return LanguageModel(MistralForCausalLM(MistralConfig.from_dict(sizes)), tokenizer)


def load_model(family: str, weights: Path | None, device: torch.device) -> LanguageModel:
    """A family's language model, to be changed. Raises: DataError."""
    try:
        folder = Folder(catalog.family(family), weights or catalog.weights_folder(family))
        return load(folder, device, torch.float32 if device.type == "cpu" else torch.bfloat16)
    except EngineError as error:
        raise DataError(f"{error}") from error


class LanguageModelRecipe:
    """Learn to answer prompts of both tasks.

    pairs: those of the nano world if None.  base: what low-rank changes are learned for, if the preset has a rank.
    """

    name = "language-model"

    def __init__(self, preset: Preset, pairs: Pairs | None = None, base: LanguageModel | None = None) -> None:
        if bool(preset.rank) is (base is None):
            raise DataError(
                "Low-rank changes need a network to change, and a network from nothing has none; choose the other preset."
            )
        self.preset, self.schedule, self.pairs = preset, preset.schedule, pairs or NanoPairs()
        torch.manual_seed(0)
        self.model = base or build_model(preset.config)
        self.changes = attach(self.network, preset.rank) if preset.rank else {}
        changes = nn.ModuleDict({name.replace(".", "-"): change for name, change in self.changes.items()})
        self.trained: nn.Module = changes if self.changes else self.network
        ends = self.network.config.eos_token_id
        if ends is None:
            raise DataError("The language model's config.json names no eos_token_id, so no answer could end; add it.")
        self._end = ends[0] if isinstance(ends, list) else ends

    @property
    def network(self) -> MistralForCausalLM:
        return self.model.network

    def begin_with(self, folder: Path) -> list[str]:
        """Copy a family's weights as far as they fit, words that both know with what they mean; returns what does not fit."""
        read = load_model("kandinsky-nano", folder, torch.device("cpu"))
        known, own = read.tokenizer.get_vocab(), self.network.state_dict()
        tensors = {name: value for name, value in read.network.state_dict().items() if own[name].shape == value.shape}
        shared = [(index, known[word]) for word, index in self.model.tokenizer.get_vocab().items() if word in known]
        mine, theirs = torch.tensor(shared).T
        for name in _BY_WORD:
            tensors[name] = own[name].clone()
            tensors[name][mine] = read.network.state_dict()[name][theirs]
        self.network.load_state_dict(own | tensors)
        return [name for name in own if name not in tensors]

    def loss(self, batch: int, rng: Random) -> Tensor:
        drawn = [self.pairs.draw(rng.choice(self.pairs.tasks), rng) for _ in range(batch)]
        errors = [self._errors([pair for pair in drawn if pair.task == task]) for task in self.pairs.tasks]
        return torch.cat(errors).mean()

    def _errors(self, pairs: Sequence[Pair]) -> Tensor:
        """What every token of the answers to one task costs, its end with it: (N,)."""
        if not pairs:
            return torch.zeros(0, device=self.network.device)
        rows = [self._ids(pair) for pair in pairs]
        shared = rows[0][0][: min(_alike([ids for ids, _ in rows]), min(start for _, start in rows) - 1)]
        cache = DynamicCache(config=self.network.config)
        if shared:
            self.network.model(self._tensor([shared]), past_key_values=cache, use_cache=True)
            cache.batch_repeat_interleave(len(rows))
        rest = [ids[len(shared) :] for ids, _ in rows]
        longest = max(map(len, rest))
        padded = self._tensor([ids + [self._end] * (longest - len(ids)) for ids in rest])
        states = self.network.model(padded, past_key_values=cache, use_cache=True).last_hidden_state
        places = [(row, at) for row, (ids, start) in enumerate(rows) for at in range(start - len(shared), len(ids) - len(shared))]
        row, at = self._tensor(places).T
        logits = self.network.lm_head(states[row, at - 1])
        return F.cross_entropy(logits.float(), padded[row, at], reduction="none")

    def _ids(self, pair: Pair) -> tuple[list[int], int]:
        """Tokens of a pair as the engine reads and expects them, and where the answer begins."""
        filled = TASKS[pair.task].filled(glossary.in_english(pair.prompt)[0])
        asked, whole = self.model.encode(filled), self.model.encode(filled + pair.answer)
        if len(asked) >= LONGEST:
            raise DataError(f"The prompt {pair.prompt!r:.60} has more than {LONGEST} tokens with its template; leave it out.")
        return [*whole, self._end][:LONGEST], _alike([asked, whole])

    def _tensor(self, rows: object) -> Tensor:
        return torch.tensor(rows, device=self.network.device)

    def writer(self) -> PromptWriter:
        """The engine's own writer with the network as it is, and nano's text encoder to count for."""
        model = LanguageModel(self.network, Tokenizer.from_str(self.model.tokenizer.to_str()))
        return PromptWriter(model, text_encoder_tokenizer().backend_tokenizer, time_limit_s=None)

    def figures(self) -> Mapping[str, float]:
        """Shares of prompts of the nano world, held out, that are answered well; the loss alone for other pairs."""
        if not isinstance(self.pairs, NanoPairs):
            return {"fixed_loss": float(self.loss(HELD_OUT, Random(0)))}
        writer = self.writer()
        found = score(lambda prompt: writer.beautify(prompt).text, lambda prompt: writer.translate(prompt).text, HELD_OUT)
        return {name: right / max(total, 1) for name, (right, total) in found.counts.items()}

    def sheet(self) -> Image.Image:
        """Prompts and their answers."""
        rng, writer = Random(1), self.writer()
        canvas = Image.new("RGB", (_WIDTH, 2 * _LINES * _LINE), "white")
        pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(12)
        for index in range(_LINES):
            pair = self.pairs.draw(self.pairs.tasks[index % len(self.pairs.tasks)], rng)
            answer = (writer.beautify if pair.task == "beautify" else writer.translate)(pair.prompt).text
            pen.text((6, 2 * index * _LINE), pair.prompt, fill="gray", font=font)
            pen.text((26, (2 * index + 1) * _LINE), answer, fill="black", font=font)
        return canvas

    def write(self, folder: Path, steps: int) -> Mapping[str, str]:
        """The folder `language_model/` of a family, low-rank changes merged."""
        place = folder / FOLDER
        if any(place.glob("*.index*.json")):
            raise DataError(f"{place} holds a checkpoint in several files, which would be read instead; name another folder.")
        tensors = {name: tensor for name, tensor in self.network.state_dict().items() if not name.endswith((".down", ".up"))}
        for name, change in self.changes.items():
            added = (change.up @ change.down).to(change.layer[0].weight.dtype)
            tensors[f"{name}.weight"] = change.layer[0].weight + added
        config = self.network.config.to_dict() | {
            "tie_word_embeddings": False,
            "architectures": ["MistralForCausalLM"],
            "dtype": "float16",
        }
        write_text(place / "config.json", MistralConfig.from_dict(config).to_json_string(use_diff=True))
        write_text(place / "tokenizer.json", self.model.tokenizer.to_str(pretty=True))
        settings = {"recipe": self.name, "steps": steps, "rank": self.preset.rank}
        return {FOLDER: save_tensors(place / "model.safetensors", tensors, settings)}


def _alike(rows: Sequence[Sequence[int]]) -> int:
    """How many of their first tokens all rows share."""
    return next((at for at, tokens in enumerate(zip(*rows, strict=False)) if len(set(tokens)) > 1), min(map(len, rows)))


def attach(network: MistralForCausalLM, rank: int) -> dict[str, LowRank]:
    """Put changes beside all linear layers but the last; by the layer's name. Nothing else of the network is trained."""
    network.requires_grad_(False)
    found: dict[str, LowRank] = {}
    for name, layer in [pair for pair in network.named_modules() if isinstance(pair[1], nn.Linear)]:
        if name != "lm_head":
            found[name] = LowRank(layer, rank)
            network.set_submodule(name, found[name])
    return found
