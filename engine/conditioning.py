"""From words to what the UNet reads: T5 states, projected, with Kandinsky's own treatment of padding."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

MAX_TOKENS = 128  # with the end-of-sequence token
_NO_WORDS = 2  # length of an empty prompt: the end of the sequence and the pad that is kept


@dataclass(frozen=True)
class Context:
    """Projected token states (B, L, C) and which of them count (B, L), bool."""

    states: Tensor
    mask: Tensor

    def padded(self, length: int) -> "Context":
        """The same context with zero, masked positions up to `length`."""
        missing = length - self.mask.shape[1]
        return Context(F.pad(self.states, (0, 0, 0, missing)), F.pad(self.mask, (0, missing)))

    def repeated(self, count: int) -> "Context":
        """The same context for each of `count` pictures."""
        return Context(self.states.expand(count, -1, -1), self.mask.expand(count, -1))


class TextConditioning(nn.Module):
    """The official text path: encode, project, zero the padding, cut.

    projection: Linear and LayerNorm, trained with the UNet it feeds.  null_embedding: (C,), learned stand-in for "no prompt".
    Source: ai-forever/Kandinsky-3 kandinsky3/condition_encoders.py and condition_processors.py.
    """

    null_embedding: Tensor

    def __init__(self, tokenizer: Tokenizer, text_encoder: nn.Module, projection: nn.Module, null_embedding: Tensor) -> None:
        super().__init__()
        tokenizer.no_padding()
        tokenizer.enable_truncation(MAX_TOKENS)
        self.tokenizer = tokenizer
        self.text_encoder = text_encoder
        self.projection = projection
        self.register_buffer("null_embedding", null_embedding.flatten())

    def encode(self, prompt: str) -> Context:
        """Encode one prompt: its tokens, then one zero pad, masked in attention but counted in the UNet's pooling mean.

        The official code runs T5 over all 128 positions. Masked ones do not change the others and are zeroed after the
        projection, so they are left out here. A prompt of 128 tokens gets no pad, as there.
        """
        ids = torch.tensor([self.tokenizer.encode(prompt).ids], device=self.null_embedding.device)  # (1, n)
        mask = torch.ones_like(ids, dtype=torch.bool)  # (1, n)
        hidden = self.text_encoder(input_ids=ids, attention_mask=mask.long()).last_hidden_state  # (1, n, T5 width)
        hidden = hidden.to(next(self.projection.parameters()).dtype)  # training has it in more precision than the encoder
        return Context(self.projection(hidden), mask).padded(min(ids.shape[1] + 1, MAX_TOKENS))  # (1, n + 1, C)

    def nothing(self, length: int) -> Context:
        """The unconditional branch: `null_embedding` as the only token. Not the encoding of an empty string."""
        states = torch.zeros(1, length, self.null_embedding.shape[0]).to(self.null_embedding)
        states[:, 0] = self.null_embedding
        mask = torch.zeros(1, length, dtype=torch.bool, device=states.device)
        mask[:, 0] = True
        return Context(states, mask)

    def pair(self, prompt: str, negative_prompt: str) -> tuple[Context, Context]:
        """Conditional and unconditional context, of one length.

        The official code cuts a negative prompt to the positive's tokens and gives it the positive's mask, so a shorter one
        attends to padding. Here it keeps its own tokens and mask, and the shorter of the two contexts gets zero pads, which
        is what prompts of unequal length in one batch get.
        """
        cond = self.encode(prompt)
        if not negative_prompt:
            return cond, self.nothing(cond.mask.shape[1])
        uncond = self.encode(negative_prompt)
        length = max(cond.mask.shape[1], uncond.mask.shape[1])
        return cond.padded(length), uncond.padded(length)


class WordlessTextConditioning(TextConditioning):
    """The official text path where pictures may stand without words: no words at all are the learned nothing on both branches.

    The official code has no picture prompts; an empty text in it is one like any other, which no UNet was trained with.
    """

    def pair(self, prompt: str, negative_prompt: str) -> tuple[Context, Context]:
        """Conditional and unconditional context, of one length."""
        if prompt:
            return super().pair(prompt, negative_prompt)
        cond = self.nothing(_NO_WORDS)
        if not negative_prompt:
            return cond, cond
        uncond = self.encode(negative_prompt)
        return cond.padded(uncond.mask.shape[1]), uncond


class DiffusersTextConditioning(TextConditioning):
    """The text path of checkpoints in diffusers' layout: encode, zero the padding, cut, project.

    So a pad is the projection's bias, and nothing at all is pads alone, all of them masked. A negative prompt is cut to the
    positive's length.
    Source: huggingface/diffusers pipelines/kandinsky3/pipeline_kandinsky3.py: encode_prompt.
    """

    def __init__(self, tokenizer: Tokenizer, text_encoder: nn.Module, projection: nn.Sequential) -> None:
        pad = projection[1].bias
        super().__init__(tokenizer, text_encoder, projection, torch.as_tensor(pad).detach())

    def encode(self, prompt: str) -> Context:
        """Encode one prompt: its tokens, then one pad."""
        return self._padded(super().encode(prompt))

    def nothing(self, length: int) -> Context:
        """The unconditional branch: pads, none of which counts."""
        states = self.null_embedding.expand(1, length, -1)
        return Context(states, torch.zeros(1, length, dtype=torch.bool, device=states.device))

    def pair(self, prompt: str, negative_prompt: str) -> tuple[Context, Context]:
        """Conditional and unconditional context, of the conditional one's length."""
        cond = self.encode(prompt)
        length = cond.mask.shape[1]
        if not negative_prompt:
            return cond, self.nothing(length)
        uncond = self.encode(negative_prompt)
        uncond = Context(uncond.states[:, :length], uncond.mask[:, :length])
        return cond, self._padded(uncond.padded(max(length, uncond.mask.shape[1])))

    def _padded(self, context: Context) -> Context:
        """The same with every pad as the projection leaves it."""
        return Context(torch.where(context.mask[..., None], context.states, self.null_embedding), context.mask)


class ForkTextConditioning(DiffusersTextConditioning):
    """The text path that picture prompts were trained with: that of hub checkpoints, but with nothing as zeros.

    A negative prompt keeps all of its tokens; the fork cuts it to the positive's length, which is two without words.
    Source: ai-forever/kandinsky3-diffusers pipelines/kandinsky3/kandinsky3_pipeline_ip_adapter.py: encode_prompt.
    """

    def nothing(self, length: int) -> Context:
        """No words at all: zeros, none of which counts."""
        states = self.null_embedding.new_zeros(1, length, self.null_embedding.shape[0])
        return Context(states, torch.zeros(1, length, dtype=torch.bool, device=states.device))

    def pair(self, prompt: str, negative_prompt: str) -> tuple[Context, Context]:
        """Conditional and unconditional context. Pads of a negative prompt are zeros, though those of a prompt are not."""
        cond = self.encode(prompt) if prompt else self.nothing(_NO_WORDS)
        length = cond.mask.shape[1]
        return cond, self._negative(negative_prompt, length) if negative_prompt else self.nothing(length)

    def _negative(self, prompt: str, length: int) -> Context:
        """A text with zero pads up to this length."""
        encoded = TextConditioning.encode(self, prompt)
        length = max(length, int(encoded.mask.sum()))
        padded = encoded.padded(max(length, encoded.mask.shape[1]))
        return Context(padded.states[:, :length], padded.mask[:, :length])


class OutlineTextConditioning(ForkTextConditioning):
    """The text path that outlines were trained with: without a negative prompt, an empty one is encoded like any other.

    Source: ai-forever/kandinsky3-diffusers pipelines/kandinsky3/kandinsky3controlnet_pipeline.py: encode_prompt.
    """

    def nothing(self, length: int) -> Context:
        """The unconditional branch: an empty text."""
        return self._padded(self._negative("", length))

    def pair(self, prompt: str, negative_prompt: str) -> tuple[Context, Context]:
        """Conditional and unconditional context."""
        cond = self.encode(prompt)
        return cond, self._padded(self._negative(negative_prompt, cond.mask.shape[1]))
