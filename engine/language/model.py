"""The language model: a prompt in, a text that grows by one token at a time out."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers.cache_utils import DynamicCache
from transformers.generation.logits_process import TemperatureLogitsWarper, TopPLogitsWarper
from transformers.models.mistral.configuration_mistral import MistralConfig
from transformers.models.mistral.modeling_mistral import MistralForCausalLM, MistralRotaryEmbedding

from engine.errors import EngineError
from engine.quantisation import Bits, placed, quantise
from engine.weights import Folder

FOLDER = "language_model"
_END = "</s>"


class LanguageError(EngineError):
    """The language model produced numbers that are no text."""


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen: at temperature 0 the likeliest, else drawn with the seed from the likeliest `top_p`.

    The authors published no settings; 0.7 and 0.9 are what chat models of that year were shown with.
    """

    temperature: float = 0.0
    top_p: float = 0.9
    seed: int = 0
    max_new_tokens: int = 200


class LanguageModel:
    """A Mistral network with its tokenizer, which reads no special token in a text.

    `<s>` is not put in front: the model's card encodes its prompts without it.
    """

    def __init__(self, network: MistralForCausalLM, tokenizer: Tokenizer) -> None:
        tokenizer.encode_special_tokens = True  # "</s>" typed by a person is four characters, not an end
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.network = network
        self.tokenizer = tokenizer
        ends = network.config.eos_token_id
        self._ends = {*(ends if isinstance(ends, list) else [ends]), tokenizer.token_to_id(_END)}
        self._heads: dict[str, tuple[list[int], DynamicCache]] = {}

    def encode(self, text: str) -> list[int]:
        """Token ids of a text."""
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def stream(self, head: str, prompt: str, sampling: Sampling) -> Iterator[str]:
        """Yield the answer so far after each token, until the end token or the most tokens there may be.

        head: what the prompt begins with, the same for many prompts; its states are computed once.  Same arguments, same text:
        tokens are drawn on the CPU in float64, whatever the device.
        Raises: LanguageError.
        """
        generator = torch.Generator("cpu").manual_seed(sampling.seed)
        ids, answer = self.encode(prompt), list[int]()
        cache = self._states(head, ids)
        unread = ids[cache.get_seq_length() :]
        for _ in range(sampling.max_new_tokens):
            token = _choose(self._logits(unread, cache), sampling, generator)
            if token in self._ends:
                return
            answer.append(token)
            unread = [token]
            yield self.tokenizer.decode(answer)

    def _states(self, head: str, ids: list[int]) -> DynamicCache:
        """Keys and values of the head, to be continued; empty if the prompt's tokens do not begin with the head's."""
        if head not in self._heads:
            known, cache = self.encode(head)[:-1], DynamicCache(config=self.network.config)
            self._logits(known, cache)
            self._heads[head] = known, cache
        known, cache = self._heads[head]
        return copy.deepcopy(cache) if ids[: len(known)] == known else DynamicCache(config=self.network.config)

    @torch.inference_mode()
    def _logits(self, ids: list[int], cache: DynamicCache) -> Tensor:
        """Read tokens and return the logits of the next one, float64 on the CPU."""
        tensor = torch.tensor([ids], device=self.network.device)
        logits: Tensor = self.network(input_ids=tensor, past_key_values=cache, use_cache=True, logits_to_keep=1).logits
        return logits[:, -1].to("cpu", torch.float64)


def _choose(logits: Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    """Take the next token from logits (1, V)."""
    if not torch.isfinite(logits).all():
        raise LanguageError("The language model produced numbers that are not finite; check its weights.")
    if not sampling.temperature:
        return int(logits.argmax())
    ids = torch.empty((1, 0), dtype=torch.long)  # the two rules below do not look at them
    warped = TopPLogitsWarper(sampling.top_p)(ids, TemperatureLogitsWarper(sampling.temperature)(ids, logits))
    shares = warped.softmax(-1).cumsum(-1)[0]
    drawn = torch.rand((), generator=generator, dtype=torch.float64) * shares[-1]
    return int(torch.searchsorted(shares, drawn, right=True).clamp(max=len(shares) - 1))


def load(folder: Folder, device: torch.device, dtype: torch.dtype, bits: Bits | None = None) -> LanguageModel:
    """Load a family's `language_model/`, in the layout of `Intel/neural-chat-7b-v3-1` with safetensors and tokenizer.json.

    bits: of the linear layers' weights; None leaves them in `dtype`.
    Raises: WeightsError; EngineError if the bits need a library that is missing.
    """
    network: MistralForCausalLM = folder.module(FOLDER, _network, None, torch.device("cpu"))
    ready = quantise(network, bits, device, dtype) if bits else placed(network, device, dtype)
    return LanguageModel(ready, folder.tokenizer(FOLDER))


def _network(config: dict[str, Any]) -> MistralForCausalLM:
    network = MistralForCausalLM(MistralConfig.from_dict(config))
    with torch.device("cpu"):  # its frequencies are in no file, and networks are built without memory
        network.model.rotary_emb = MistralRotaryEmbedding(network.config)
    return network
