"""The forward pass of a Llama-shaped language model with nothing in it but its arithmetic.

`generate()` on a small model spends more time on bookkeeping than on numbers. Here the layers that read the same input
are one matrix (q, k and v; gate and up), all sequences share one preallocated buffer of keys and values, and a layer is
about twenty calls of torch. Everything is plain eager torch; on a GPU, `graphs.py` records it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from vlm_demo.runners.linear import DenseLinear, Int8Linear, PackedLinear

BLOCK = 128  # the buffer grows, and prompts are read, in steps of this many positions
VECTOR = 16  # positions that a CPU reads at once
KEPT_BYTES = 32_000_000  # a buffer larger than this is given back when nobody is being served
LinearLayer = type[DenseLinear] | type[PackedLinear] | type[Int8Linear]
FAMILIES = {"llama", "mistral", "qwen2"}  # RMSNorm, RoPE, SwiGLU, grouped heads, and nothing else
ROPE_TYPES = {"default", "linear", "llama3", "yarn"}  # rotations that depend on the position alone


class KeyValues:
    """Keys and values of all layers, `data` `[layers, slots, positions, 2 * heads, head_dim]`, keys before values."""

    def __init__(self, layers: int, heads: int, head_dim: int, like: torch.Tensor) -> None:
        """`like`: any tensor of the dtype and device that the buffer shall have."""
        self.heads = heads
        self.data = like.new_zeros((layers, 0, 0, 2 * heads, head_dim))

    @property
    def bytes(self) -> int:
        return self.data.nbytes

    def reserve(self, slots: int, positions: int) -> None:
        """Make room for so many slots and positions, in bounded steps so that growing is rare."""
        layers, have_slots, have_positions, heads, head_dim = self.data.shape
        if slots <= have_slots and positions <= have_positions:
            return
        slots = have_slots if slots <= have_slots else max(slots, 2 * have_slots)
        positions = max(have_positions, round_up(positions, BLOCK))
        # Zeros, since what is masked out must still be a number.
        data = self.data.new_zeros((layers, slots, positions, heads, head_dim))
        data[:, :have_slots, :have_positions] = self.data
        self.data = data

    def read(self, slot: int, length: int) -> torch.Tensor:
        """A copy of the first `length` positions of a slot, `[layers, length, 2 * heads, head_dim]`."""
        return self.data[:, slot, :length].clone()

    def write(self, slot: int, past: torch.Tensor) -> None:
        """Put what `read` gave into a slot."""
        self.data[:, slot, : past.shape[1]] = past

    def move(self, source: int, target: int, length: int) -> None:
        self.data[:, target, :length] = self.data[:, source, :length]

    def clear(self, slot: int) -> None:
        self.data[:, slot] = 0

    def shrink(self) -> None:
        """Give the memory back if it is much; only when no slot is in use."""
        if self.bytes > KEPT_BYTES:
            self.data = self.data[:, :0, :0].clone()


class RMSNorm:
    """Root mean square normalisation (Zhang and Sennrich 2019) of `[N, D]`, in half the operations of torch's own: the
    root of mean(x²) + eps is hypot(|x|, √(D eps)) / √D."""

    def __init__(self, weight: torch.Tensor, eps: float) -> None:
        self.weight, width = weight.detach(), len(weight)
        self.floor = torch.tensor((width * eps) ** 0.5, device=weight.device)
        self.unit = width**-0.5

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)  # [N, 1]
        return x.div(torch.hypot(length, self.floor).mul_(self.unit)).to(x.dtype).mul_(self.weight)


class Layer:
    """The weights of one decoder layer."""

    def __init__(self, layer: nn.Module, eps: float, linear: LinearLayer) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.norm_1, self.norm_2 = (
            RMSNorm(norm.weight, eps) for norm in (layer.input_layernorm, layer.post_attention_layernorm)
        )
        head_dim = attention.head_dim
        turned = [_pairs(part, head_dim) for part in (attention.q_proj, attention.k_proj)]
        self.qkv = linear(*_stack([*turned, (attention.v_proj.weight, attention.v_proj.bias)]))
        self.out = linear(attention.o_proj.weight, attention.o_proj.bias)
        joined = _stack([(part.weight, part.bias) for part in (mlp.gate_proj, mlp.up_proj)])
        mlp.gate_proj.weight.data, mlp.up_proj.weight.data = joined[0].chunk(2)  # the same memory serves both
        self.gate_up = linear(*joined)
        self.down = linear(mlp.down_proj.weight, mlp.down_proj.bias)


class BatchedLlama:
    """A Llama-shaped language model with its head, made of the weights of a transformers model."""

    @staticmethod
    def supports(text_config: Any) -> bool:
        """Whether this forward pass is that of the model: full attention and static rotations in every layer."""
        return (
            text_config.model_type in FAMILIES
            and text_config.hidden_act == "silu"
            and text_config.rope_parameters["rope_type"] in ROPE_TYPES
            and all(type(layer) is DynamicLayer for layer in DynamicCache(config=text_config).layers)
        )

    @torch.no_grad()
    def __init__(
        self,
        model: PreTrainedModel,
        head: nn.Linear,
        linear: LinearLayer | None = None,
    ) -> None:
        """`model`: the transformers model without its head; `linear`: the form of its matrices, by default the
        fastest that keeps its precision."""
        config = model.config
        if linear is None:
            linear = PackedLinear if PackedLinear.available(head.weight) else DenseLinear
        self.linear = linear
        self.embedding = model.embed_tokens.weight.detach()
        self.layers = [Layer(layer, config.rms_norm_eps, linear) for layer in model.layers]
        self.norm = RMSNorm(model.norm.weight, config.rms_norm_eps)
        self.head = linear(head.weight, head.bias)
        self.frequencies = model.rotary_emb.inv_freq.float()  # [head_dim / 2]
        self.scale = model.rotary_emb.attention_scaling
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_dim = model.layers[0].self_attn.head_dim
        self.rotations = self._rotations(BLOCK)

    @property
    def bytes(self) -> int:
        """Memory beside what the model takes."""
        copies = [layer.qkv for layer in self.layers]  # the rest is the model's own memory
        if self.linear.copies:
            copies += [self.head, *(part for layer in self.layers for part in (layer.out, layer.gate_up, layer.down))]
        return sum(part.bytes for part in copies)

    def new_buffer(self) -> KeyValues:
        return KeyValues(len(self.layers), self.kv_heads, self.head_dim, self.embedding)

    def embed(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """`[B, T, D]`."""
        return F.embedding(torch.tensor(ids, device=self.embedding.device), self.embedding)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """`[N, V]` of `[N, D]`."""
        return self.head(hidden)

    def forward(self, x: torch.Tensor, buffer: KeyValues, first: int, starts: list[int]) -> torch.Tensor:
        """Hidden states `[B, T, D]` behind T more tokens of each sequence, whose keys and values join the buffer.

        Args:
            x: Embeddings `[B, T, D]`.
            first: The sequences sit in the slots from this one on, which are reserved up to the last position.
            starts: For each sequence, how many positions its slot holds already.
        """
        count = x.shape[1]
        longest = round_up(max(starts) + count, BLOCK if count > 1 else VECTOR)
        self.reach(longest)
        positions = torch.tensor(starts, device=x.device)[:, None] + torch.arange(count, device=x.device)  # [B, T]
        return self.run(x, buffer, first, positions, longest)

    def reach(self, longest: int) -> None:
        """Make rotations for so many positions."""
        if longest > len(self.rotations):
            self.rotations = self._rotations(2 * longest)

    def run(
        self, x: torch.Tensor, buffer: KeyValues, first: int, positions: torch.Tensor, longest: int
    ) -> torch.Tensor:
        """What `forward` does, for `positions` `[B, T]` below `longest`. Its shapes depend on no tensor's content."""
        sequences, count, width = x.shape
        heads, kv_heads, head_dim = self.heads, self.kv_heads, self.head_dim
        rotation = self.rotations[positions.flatten()][:, None]  # [B*T, 1, head_dim / 2]
        mask = self._mask(positions, longest, x.dtype)

        slots = buffer.data.shape[1:3]
        index = positions + slots[1] * torch.arange(first, first + sequences, device=x.device)[:, None]
        index = index.flatten()  # [B*T] places of the new tokens in the slots laid end to end
        ends = buffer.data.flatten(1, 2).unbind(0)  # a layer: [slots * positions, 2 * kv_heads, head_dim]
        past = buffer.data[:, first : first + sequences, :longest].transpose(2, 3)
        if sequences == count == 1:  # torch sums for a lone sequence in another order than in company: it attends twice
            past = past.expand(-1, 2, -1, -1, -1)
        keys, values = past[:, :, :kv_heads].unbind(0), past[:, :, kv_heads:].unbind(0)  # [B, kv_heads, L, head_dim]

        x, prompt = x.reshape(sequences * count, width), count > 1
        for layer, end, key, value in zip(self.layers, ends, keys, values, strict=True):
            qkv = layer.qkv(layer.norm_1(x), prompt).view(sequences * count, heads + 2 * kv_heads, head_dim)
            _rotate(qkv[:, : heads + kv_heads], rotation)
            end.index_copy_(0, index, qkv[:, heads:])
            mixed = self._attend(qkv[:, :heads], key, value, mask)
            x = x + layer.out(mixed, prompt)
            gate, up = layer.gate_up(layer.norm_2(x), prompt).chunk(2, dim=-1)
            x += layer.down(F.silu(gate).mul_(up), prompt)
        return self.norm(x).view(sequences, count, width)

    def _attend(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """What the tokens `query` `[B*T, heads, head_dim]` read from `key` and `value` `[B, kv_heads, L, head_dim]`,
        which a lone token finds there twice."""
        sequences, kv_heads = key.shape[:2]
        tokens = len(query)
        if tokens <= sequences:  # one token a sequence: the heads that share keys can stand where several tokens would
            query = query.view(tokens, kv_heads, -1, self.head_dim).expand(sequences, -1, -1, -1)
            mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
            return mixed[:tokens].reshape(tokens, -1)
        query = query.view(sequences, -1, self.heads, self.head_dim).transpose(1, 2)  # [B, heads, T, head_dim]
        shared = kv_heads < self.heads
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, enable_gqa=shared)
        return mixed.transpose(1, 2).reshape(sequences * mixed.shape[2], -1)

    def _mask(self, positions: torch.Tensor, longest: int, dtype: torch.dtype) -> torch.Tensor:
        """What to add to the scores `[B, 1, T, L]`: -inf where a token at its position `[B, T]` must not look."""
        hidden = torch.arange(longest, device=positions.device) > positions[..., None]  # [B, T, L]
        return torch.zeros(hidden.shape, dtype=dtype, device=hidden.device).masked_fill_(hidden, -torch.inf)[:, None]

    def _rotations(self, count: int) -> torch.Tensor:
        """RoPE (Su et al. 2021) as complex numbers of length `scale`, `[count, head_dim / 2]`."""
        angles = torch.arange(count, device=self.frequencies.device).float()[:, None] * self.frequencies
        return torch.polar(torch.full_like(angles, self.scale), angles)


def round_up(count: int, step: int) -> int:
    """The next multiple of `step`."""
    return -(-count // step) * step


def _rotate(x: torch.Tensor, rotation: torch.Tensor) -> None:
    """Turn the pairs of `x` `[N, heads, head_dim]` in place by `rotation` `[N, 1, head_dim / 2]`."""
    exact = x if x.dtype == torch.float32 else x.float()
    torch.view_as_complex(exact.unflatten(-1, (-1, 2))).mul_(rotation)
    if exact is not x:
        x.copy_(exact)


def _pairs(linear: nn.Linear, head_dim: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Weight and bias of q or k with the two numbers that RoPE turns together, i and i + head_dim / 2, side by side.

    Query and key are reordered alike, so that their products stay the same.
    """

    def reorder(rows: torch.Tensor) -> torch.Tensor:
        return rows.unflatten(0, (-1, 2, head_dim // 2)).transpose(1, 2).flatten(0, 2)

    return reorder(linear.weight), None if linear.bias is None else reorder(linear.bias)


def _stack(parts: list[tuple[torch.Tensor, torch.Tensor | None]]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Several weights and biases, one above the other."""
    weights, biases = zip(*parts, strict=True)
    if all(bias is None for bias in biases):
        return torch.cat(weights), None
    full = [w.new_zeros(len(w)) if b is None else b for w, b in parts]
    return torch.cat(weights), torch.cat(full)
