"""Trains the photograph model: python -m train.photographs.train --data FOLDER [--steps 4000]

Projector and language model learn every task at once from frozen, cached features (`train/photographs/packing.py` makes
the batches); the loss is averaged within an answer and then over answers with a weight for each kind. Runs on a GPU
where there is one. Stopped or killed, the same command resumes from the last save with the same batches. `--start
CHECKPOINT` trains a finished model further, with new steps and a new learning rate.
"""

import argparse
import gc
from contextlib import AbstractContextManager
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

from train import loop
from train.blocks import block_mask
from train.photographs.data import CROPS, read
from train.photographs.features import Features, standardize, with_mosaics
from train.photographs.packing import CAPTIONS, DETECTIONS, KINDS, SEVERAL, Steps
from train.photographs.questions import balanced
from train.photographs.start import LAYERS, VOCABULARY, start
from vlm_demo.model import MiniVLMForConditionalGeneration, MiniVLMProcessor

FEATURE_DROPOUT = 0.1  # of what the towers see, so that images are not learned by heart
ROWS = 8  # rows that pass through the model at once on a CPU; a step adds up as many such parts as it needs


def precision(device: torch.device) -> AbstractContextManager:
    return torch.autocast(device.type, torch.bfloat16)


def batch_losses(
    model: MiniVLMForConditionalGeneration, batch: dict, features: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The weighted loss of a batch, and for each kind of answer the sum of its tokens' losses and their number."""
    device = features.device
    ids, labels, kinds, weights, positions, block = (
        batch[name].to(device, non_blocking=True)
        for name in ("input_ids", "labels", "kinds", "weights", "position_ids", "block")
    )
    hidden = model.model(
        input_ids=ids,
        image_features=features,
        attention_mask=block_mask(block, torch.bfloat16),
        position_ids=positions,
        use_cache=False,
    ).last_hidden_state  # [B, T, D]
    answered = labels[:, 1:] != -100
    logits = model.lm_head(hidden[:, :-1][answered]).float()  # only where there is an answer: [M, V]
    losses = F.cross_entropy(logits, labels[:, 1:][answered], reduction="none")
    kinds, weights = kinds[:, 1:][answered], weights[:, 1:][answered]
    totals = torch.zeros(len(KINDS), device=device).index_add_(0, kinds, losses.detach())
    return (losses * weights).sum(), totals, torch.bincount(kinds, minlength=len(KINDS))


def _unchanged(parts: list[dict]) -> list[dict]:
    return parts


class Training:
    """The losses of a step, for `loop.run`, and of unseen photographs."""

    def __init__(self, model, processor, photos, features: Features, args: argparse.Namespace) -> None:
        self.model, self.features, self.steps_count, self.workers = model, features, args.steps, args.workers
        parts = max(1, args.rows // ROWS) if features.device.type == "cpu" else 1
        shares = (args.several, args.captions, args.detections)
        self.steps = Steps(processor, photos, features.regions, args.rows, *shares, parts)
        self.batches = None

    def __call__(self, step: int) -> loop.Losses:
        if self.batches is None:  # workers prepare the steps still to come while this process computes
            numbers = range(step, self.steps_count)
            options = {"num_workers": self.workers, "prefetch_factor": 4 if self.workers else None}
            gc.freeze()  # or each worker would go through millions of boxes again and again
            loader = DataLoader(self.steps, batch_size=None, sampler=numbers, collate_fn=_unchanged, **options)
            self.batches = iter(loader)
        parts = next(self.batches)
        whole = sum(float(part["weights"][part["labels"] != -100].sum()) for part in parts)
        totals, counts, loss = 0.0, 0.0, 0.0
        for part in parts:
            with precision(self.features.device):
                own, sums, n = batch_losses(self.model, part, self.with_dropout(self.features(part["shown"])))
            own = own / whole
            if part is not parts[-1]:  # the loop goes back through the last one
                own.backward()
                own = own.detach()
            totals, counts, loss = totals + sums, counts + n, loss + own
        means = (totals / counts.clamp(min=1)).tolist()
        return {"loss": loss, **{kind: torch.tensor(mean) for kind, mean in zip(KINDS, means, strict=True)}}

    def with_dropout(self, features: torch.Tensor) -> torch.Tensor:
        """Features `[images, N, C]` with a part of the maps' channels dropped; boxes and scores stay."""
        channels = sum(self.model.config.vision_config.map_sizes)
        return torch.cat([F.dropout(features[..., :channels], FEATURE_DROPOUT), features[..., channels:]], -1)

    @torch.inference_mode()
    def unseen(self, processor, photos, features: Features, batches: int = 12) -> dict[str, float]:
        """Loss a token of each kind on photographs that training does not show."""
        steps = Steps(processor, photos, features.regions, 16, seed="unseen")
        totals = counts = 0.0
        for number in range(batches):
            (batch,) = steps[number]
            with precision(features.device):
                _, sums, n = batch_losses(self.model, batch, features(batch["shown"]))
            totals, counts = totals + sums, counts + n
        return dict(zip(KINDS, (totals / counts.clamp(min=1)).tolist(), strict=True))


def main() -> None:
    """Train, then write the model and its processor to FOLDER/model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of train-*.parquet and validation-*.parquet")
    parser.add_argument("--vision", type=Path, default=Path("runs/backbones/vision"))
    parser.add_argument("--language", default="runs/backbones/language", help="folder or Hub name")
    parser.add_argument("--start", type=Path, help="a checkpoint to go on from")
    parser.add_argument("--folder", type=Path, default=Path("runs/photographs"))
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--rows", type=int, default=64, help="rows of one step")
    parser.add_argument("--several", type=float, default=SEVERAL, help="share of rows with several images")
    parser.add_argument("--captions", type=int, default=CAPTIONS, help="brief captions of one image in one row")
    parser.add_argument("--detections", type=float, default=DETECTIONS, help="share of rows with boxes")
    parser.add_argument("--lr", type=float, default=6e-4)
    parser.add_argument("--variants", type=int, default=2 + CROPS, help="ways in which each photograph is shown")
    parser.add_argument("--mosaics", type=int, default=2000)
    parser.add_argument("--photographs", type=int, help="train on the first so many only")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--save-every", type=int, default=250)
    parser.add_argument("--no-cudnn", action="store_true", help="where cuDNN takes minutes to start")
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.backends.cudnn.enabled = not args.no_cudnn
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    photos, unseen = balanced(read(args.data, "train")[: args.photographs]), read(args.data, "validation")
    if args.start:
        processor = MiniVLMProcessor.from_pretrained(args.start)
        model = MiniVLMForConditionalGeneration.from_pretrained(args.start, dtype=torch.float32)
    else:
        model, processor = start(args.vision, args.language, LAYERS, VOCABULARY)
    model = model.to(device)
    tower = model.model.vision_tower.eval().requires_grad_(False)
    if not args.start:
        standardize(tower, photos, args.workers)
    if device.type == "cpu":  # convolutions take a fifth less time, and images are looked at where rows are made
        tower.to(memory_format=torch.channels_last)
        args.workers = 0
    photos = with_mosaics(photos, args.mosaics)
    shown = [(n, v) for n, photo in enumerate(photos) for v in range(1 if photo.source == "mosaic" else args.variants)]
    features = Features(tower, photos, shown, args.workers)
    held = Features(tower, unseen, [(n, 0) for n in range(len(unseen))], args.workers)
    training = Training(model, processor, photos, features, args)
    trained = {"projector": model.model.projector, "language_model": model.model.language_model}
    loop.run(
        args.folder,
        trained,
        training,
        steps=args.steps,
        lr=args.lr,
        weight_decay=0.05,
        save_every=args.save_every,
        evaluate=lambda: training.unseen(processor, unseen, held),
    )
    model.save_pretrained(args.folder / "model")
    processor.save_pretrained(args.folder / "model")


if __name__ == "__main__":
    main()
