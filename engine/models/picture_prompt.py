"""The picture-prompt adapter (IP-Adapter): pictures as four more tokens in each of the UNet's cross-attentions."""

from torch import Tensor, nn

from engine.models.attention import Tokens
from engine.models.conditions import PictureTokens
from engine.models.network import Network, keeps_config

PICTURE_TOKENS = 4


class PictureLayer(nn.Module):
    """Keys, values and output layer of one cross-attention; its queries are the text's."""

    def __init__(self, channels: int, context_dim: int, head_dim: int) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.to_key_ip = nn.Linear(context_dim, channels)
        self.to_v_ip = nn.Linear(context_dim, channels)
        self.to_out_ip = nn.Linear(channels, channels)
        nn.init.zeros_(self.to_out_ip.weight)
        nn.init.zeros_(self.to_out_ip.bias)

    def tokens(self, context: Tensor, scale: float) -> PictureTokens:
        """What the cross-attention reads of picture tokens (B, 4, C)."""
        key, value = (to(context).unflatten(2, (-1, self.head_dim)).transpose(1, 2) for to in (self.to_key_ip, self.to_v_ip))
        return PictureTokens(Tokens(key, value), self.to_out_ip, scale)


class PicturePrompt(Network):
    """All of an adapter's own weights; the UNet's stay with the UNet, so one UNet serves with and without.

    block_out_channels, layers_per_block: the UNet's. `layers` are in the order of the UNet's cross-attentions.
    Source: ai-forever/kandinsky3-diffusers models/unet_kandi3.py: UNetKandi3IpAdapter.
    """

    @keeps_config
    def __init__(
        self,
        block_out_channels: tuple[int, ...] = (384, 768, 1536, 3072),
        layers_per_block: int = 3,
        cross_attention_dim: int = 4096,
        attention_head_dim: int = 64,
        image_embed_dim: int = 768,
    ) -> None:
        super().__init__()
        self.image_proj = nn.Linear(image_embed_dim, PICTURE_TOKENS * cross_attention_dim)
        self.image_norm = nn.LayerNorm(cross_attention_dim)
        self.layers = nn.ModuleDict(
            {
                place.replace(".", "-"): PictureLayer(width, cross_attention_dim, attention_head_dim)
                for place, width in cross_attentions(block_out_channels, layers_per_block)
            }
        )

    def forward(self, image_embeds: Tensor, ip_adapter_scale: float = 1.0) -> tuple[PictureTokens, ...]:
        """What every cross-attention reads of a picture's embedding (1, 768), or of a weighted sum of several."""
        states = self.image_norm(self.image_proj(image_embeds).unflatten(1, (PICTURE_TOKENS, -1)))  # (1, 4, C)
        layers = [layer for layer in self.layers.values() if isinstance(layer, PictureLayer)]
        return tuple(layer.tokens(states, ip_adapter_scale) for layer in layers)


def cross_attentions(block_out_channels: tuple[int, ...], layers_per_block: int) -> list[tuple[str, int]]:
    """Place and width of each cross-attention of a UNet, in the order in which it counts them."""
    deepest = len(block_out_channels) - 1
    places = []
    for level in range(1, deepest + 1):
        places += [(f"down_blocks.{level}.attentions.{i + 1}", block_out_channels[level]) for i in range(layers_per_block)]
    for index, level in enumerate(range(deepest, 0, -1)):
        width = block_out_channels[level]
        widths = [width if level == deepest else 2 * width] + [width] * (layers_per_block - 1)
        places += [(f"up_blocks.{index}.attentions.{i + 1}", each) for i, each in enumerate(widths)]
    return places
