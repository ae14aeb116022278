"""Trains projector and language model on every task at once: python -m train.icons.multitask [--steps 6000]

The vision encoder is frozen and its features are cached; `packing.py` makes the batches. The loss is averaged
within an answer and then over answers with a weight for each task: a plain average over tokens would be all coordinates
and leave short answers untaught. With `--start CHECKPOINT` training continues from a finished model instead of from
scratch, with new steps and a new learning rate.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader
from transformers import ResNetModel
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from train import loop
from train.finetune.backbones import llama_config
from train.finetune.tokenizer import build_tokenizer
from train.icons import features, rendering
from train.icons.corpus import corpus
from train.icons.packing import CHANGE_LABELS, IMAGE_SEQ_LENGTH, KINDS, Steps
from vlm_demo.model import MiniVLMConfig, MiniVLMForConditionalGeneration, MiniVLMProcessor
from vlm_demo.model.processing_minivlm import MAX_IMAGES
from vlm_demo.scenes.world import GRID

ALIGNMENT = 0.3  # weight of `alignment_loss`
AUXILIARY_WEIGHT = 0.5  # weight of the losses of `AuxiliaryHead`, unless the command says another


class AuxiliaryHead(nn.Module):
    """Predicts from single image tokens, halfway up the language model, which image they belong to and what changed.

    Comparing images needs both of every image token before a question can use them, and answers alone take very
    long to teach it. Like the dense head of the vision encoder, it is discarded after training.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.numbers = nn.Linear(width, MAX_IMAGES)
        self.changes = nn.Linear(width, len(CHANGE_LABELS))

    def forward(self, tokens: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Sum of both cross-entropies for hidden states of image tokens [P, N, D]."""
        cells, changes = batch["cells"], batch["changes"]
        loss = F.cross_entropy(self.numbers(tokens[cells[:, 0], cells[:, 1]]).float(), batch["numbers"])
        if len(changes):
            logits = self.changes(tokens[changes[:, 0], changes[:, 1]]).float()  # [M, K]
            loss = loss + F.cross_entropy(logits, changes[:, 2])
        return loss


def make_processor() -> MiniVLMProcessor:
    """Tokenizer of the scenes' language and an image processor for 128-pixel images."""
    tokenizer = build_tokenizer(corpus())
    image_processor = ViTImageProcessorPil(size={"height": rendering.SIZE, "width": rendering.SIZE})
    return MiniVLMProcessor(image_processor, tokenizer, image_seq_length=IMAGE_SEQ_LENGTH)


def make_model(processor: MiniVLMProcessor, encoder: ResNetModel) -> MiniVLMForConditionalGeneration:
    """MiniVLM with a new projector and a new Llama-shaped language model behind the trained encoder."""
    config = MiniVLMConfig(
        vision_config=encoder.config,
        text_config=llama_config(processor.tokenizer, width=256, layers=6, heads=4),
        image_token_id=processor.image_token_id,
        image_seq_length=IMAGE_SEQ_LENGTH,
        image_positions=True,
    )
    model = MiniVLMForConditionalGeneration(config)
    model.model.vision_tower.load_state_dict(encoder.state_dict())
    model.model.vision_tower.requires_grad_(False)
    smooth_coordinates(model, processor)
    return model


@torch.no_grad()
def smooth_coordinates(model: MiniVLMForConditionalGeneration, processor: MiniVLMProcessor) -> None:
    """Start the coordinates' embeddings as waves of their value: neighbours begin alike instead of unrelated."""
    weight = model.get_input_embeddings().weight
    generator = torch.Generator().manual_seed(0)
    waves = torch.randn(16, weight.shape[1], generator=generator)
    frequencies = torch.arange(1, 9) * torch.pi
    for step in range(GRID):
        value = step / GRID * frequencies
        wave = torch.cat([value.sin(), value.cos()]) @ waves / 16**0.5  # [D]
        for text in (f"{value_text(step)}", f"{value_text(step)}, "):
            ids = processor.encode_text(text)
            if len(ids) == 1:
                weight[ids[0]] = 0.5 * weight[ids[0]] + weight.std() * wave


def value_text(step: int) -> str:
    """A grid coordinate as it is written in the JSON."""
    return f"{step / GRID:.3f}"


def batch_losses(
    model: MiniVLMForConditionalGeneration,
    auxiliary_head: AuxiliaryHead,
    batch: dict[str, torch.Tensor],
    auxiliary_weight: float = AUXILIARY_WEIGHT,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Sum of weighted losses, losses of image tokens, and for each kind of answer the sum of token losses and their
    number."""
    outputs = model.model(
        input_ids=batch["input_ids"],
        image_features=batch["image_features"],
        attention_mask=batch["attention_mask"],
        position_ids=batch["position_ids"],
        use_cache=False,
        output_hidden_states=True,
    )
    hidden = outputs.last_hidden_state  # [B, T, D]
    answered = batch["labels"][:, 1:] != -100
    logits = model.lm_head(hidden[:, :-1][answered]).float()  # only where there is an answer: [M, V]
    losses = F.cross_entropy(logits, batch["labels"][:, 1:][answered], reduction="none")
    kinds = batch["kinds"][:, 1:][answered]
    totals = torch.zeros(len(KINDS)).index_add_(0, kinds, losses.detach())
    weighted = (losses * batch["weights"][:, 1:][answered]).sum()
    is_image = batch["input_ids"] == model.config.image_token_id  # [B, T]
    halfway = outputs.hidden_states[len(outputs.hidden_states) // 2]  # the layers above can use what is there by then
    tokens = halfway[is_image].unflatten(0, (-1, IMAGE_SEQ_LENGTH))  # [P, N, D]
    shown = auxiliary_weight * auxiliary_head(tokens, batch) if auxiliary_weight else torch.zeros(())
    shown = shown + ALIGNMENT * alignment_loss(model, outputs.image_hidden_states, batch["cells"], batch["words"])
    return weighted, shown, totals, torch.bincount(kinds, minlength=len(KINDS))


def alignment_loss(
    model: MiniVLMForConditionalGeneration, projected: torch.Tensor, cells: torch.Tensor, words: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy that makes an image token on an object's centre point to the words for the object.

    A question finds a thing by matching its word with image tokens; this gives both a common language early, where
    answers alone take long to teach it. `projected` [P, N, D], `cells` [K, 2], `words` [K, 4] -> scalar, at best log 4.
    """
    there = projected[cells[:, 0], cells[:, 1]]  # [K, D]
    return -model.lm_head(there).float().log_softmax(-1).gather(1, words).mean()


def main() -> None:
    """Train, then write the model and its processor to FOLDER/model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--lr", type=float, default=1.2e-3)
    parser.add_argument("--encoder", type=Path, default=Path("runs/vision/encoder"))
    parser.add_argument("--start", type=Path, help="a checkpoint to continue from, its encoder included")
    parser.add_argument("--folder", type=Path, default=Path("runs/multitask"))
    parser.add_argument("--scenes", type=int, default=60_000)
    parser.add_argument("--pairs", type=int, default=24_000)
    parser.add_argument("--stories", type=int, default=6_000)
    parser.add_argument(
        "--first",
        type=int,
        default=0,
        help="number of the first batch: runs with other numbers see other data, and train.icons.average joins them",
    )
    parser.add_argument("--save-every", type=int, default=100, help="steps between saves")
    parser.add_argument(
        "--auxiliary-weight",
        type=float,
        default=AUXILIARY_WEIGHT,
        help="of the auxiliary head's loss; 0 in a short run",
    )
    parser.add_argument(
        "--compile", action="store_true", help="fuse the layers' small operations (needs a C++ compiler)"
    )
    args = parser.parse_args()
    torch.manual_seed(0)
    if args.start:
        processor = MiniVLMProcessor.from_pretrained(args.start)
        model = MiniVLMForConditionalGeneration.from_pretrained(args.start)
        model.model.vision_tower.requires_grad_(False)
    else:
        processor = make_processor()
        model = make_model(processor, ResNetModel.from_pretrained(args.encoder))
    encoder = model.model.vision_tower.eval()
    maps = {kind: features.compute(encoder, kind, getattr(args, kind)) for kind in rendering.GROUPS}
    auxiliary_head = AuxiliaryHead(model.config.text_config.hidden_size)
    # With a block mask the plain attention, compiled, is faster on CPUs than the fused one's backward pass.
    model.model.language_model.set_attn_implementation("eager")
    if args.compile:  # 1.4 times the speed on two CPU cores
        for layer in model.model.language_model.layers:
            layer.compile(dynamic=True)
    steps = Steps(processor, maps)
    batches = None

    def step_losses(step: int) -> loop.Losses:
        nonlocal batches
        if batches is None:  # the worker prepares the steps still to come while this process computes
            batches = iter(
                DataLoader(
                    steps,
                    batch_size=None,
                    sampler=range(args.first + step, args.first + args.steps),
                    num_workers=1,
                    prefetch_factor=4,
                )
            )
        totals, counts = torch.zeros(len(KINDS)), torch.zeros(len(KINDS))
        whole, image_loss = torch.zeros(()), torch.zeros(())
        parts = next(batches)
        total_weight = sum(float(part["weights"][part["labels"] != -100].sum()) for part in parts)
        for part in parts:
            with torch.autocast("cpu", torch.bfloat16):
                loss, shown, sums, n = batch_losses(model, auxiliary_head, part, args.auxiliary_weight)
            loss = loss / total_weight + shown / len(parts)
            if part is not parts[-1]:  # the loop goes back through the last one
                loss.backward()
                loss = loss.detach()
            totals, counts, whole = totals + sums, counts + n, whole + loss
            image_loss += shown.detach() / len(parts)
        by_kind = {kind: totals[i] / counts[i].clamp(min=1) for i, kind in enumerate(KINDS)}
        return {"loss": whole, **by_kind, "pictures": image_loss}

    # "probe" is the name of the auxiliary head in saved runs.
    trained = {
        "projector": model.model.projector,
        "language_model": model.model.language_model,
        "probe": auxiliary_head,
    }
    loop.run(
        args.folder, trained, step_losses, steps=args.steps, lr=args.lr, weight_decay=0.05, save_every=args.save_every
    )
    model.save_pretrained(args.folder / "model")
    processor.save_pretrained(args.folder / "model")


if __name__ == "__main__":
    main()
