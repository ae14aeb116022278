"""The loop of each stage of fine-tuning: transformers' Trainer, losses by task, exact resuming, safe checkpoints."""

import math
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from transformers import Trainer, TrainingArguments
from transformers.trainer_utils import rotate_checkpoints, set_seed

from train.data import Source
from train.finetune import checkpoints
from train.finetune.batches import TASK_NAMES, Collator, TrainingSet, draw_samples, mixture_weights
from train.finetune.vision_cache import VisionCache, check_only
from vlm_demo.model import MiniVLMForConditionalGeneration, MiniVLMProcessor
from vlm_demo.runners.linear import bf16_is_fast

SCHEDULE = "cosine_warmup_with_min_lr"  # unlike "cosine" takes no step at rate 0
SCHEDULE_KWARGS = {"min_lr_rate": 0.1}
LOG_EVERY = 10  # steps, in a run that is long enough
CHECKPOINTS_KEPT = 2


def warmup_steps(steps: int) -> int:
    """Steps of a run in which the learning rate rises."""
    return max(1, steps // 20)


class VLMTrainer(Trainer):
    """Adds the loss of each task to the log, and writes checkpoints that are whole or not there."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.loss_is_scaled_for_ga = True  # `compute_loss` divides by the tokens of the whole batch
        self.sums = torch.zeros(2, len(TASK_NAMES), device=self.args.device)  # losses and tokens since the last log
        self.saving = False

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> torch.Tensor | tuple[torch.Tensor, Any]:
        """Cross-entropy of the answers' tokens, averaged over those of the whole batch on all processes."""
        tower = self.accelerator.unwrap_model(model).model.vision_tower
        if not any(parameter.requires_grad for parameter in tower.parameters()):
            tower.eval()  # frozen is frozen: no dropout, no moving statistics
        labels, tasks = inputs["labels"], inputs["tasks"]  # [B, T], [B]
        answered = labels != -100
        # Images come first and answers last: the head need not look at what comes before the first answer.
        logits_kept = labels.shape[1] - int(answered.any(0).int().argmax()) + 1
        model_inputs = {name: value for name, value in inputs.items() if name not in ("labels", "tasks")}
        outputs = model(**model_inputs, logits_to_keep=logits_kept, use_cache=False)
        targets, answered = labels[:, 1 - logits_kept :], answered[:, 1 - logits_kept :]  # [B, logits_kept - 1]
        losses = F.cross_entropy(outputs.logits[:, :-1][answered].float(), targets[answered], reduction="none")  # [M]
        of_task = tasks[:, None].expand_as(targets)[answered]  # [M]
        self.sums[0].index_add_(0, of_task, losses.detach())
        self.sums[1] += torch.bincount(of_task, minlength=len(TASK_NAMES))
        # Processes average their gradients, so that each must count for all.
        loss = losses.sum() * self.accelerator.num_processes / num_items_in_batch
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add each task's loss by token, and its tokens, since the last log."""
        if "loss" in logs:
            sums, counts = self.accelerator.reduce(self.sums, "sum").tolist()
            self.sums.zero_()
            for name, total, count in zip(TASK_NAMES, sums, counts, strict=True):
                if count:
                    logs[name], logs[f"{name}_tokens"] = total / count, count
            if not math.isfinite(logs["loss"]):
                raise FloatingPointError(
                    "The loss is no longer a number. The latest valid checkpoint stays; start again in another --out "
                    "with a lower --lr."
                )
        super().log(logs, start_time)

    def _get_output_dir(self, trial: Any) -> str:
        return f"{self.args.output_dir}/partial" if self.saving else super()._get_output_dir(trial)

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        """Model and processor, without the code of the model and without a pickle of the arguments."""
        super()._save(output_dir, state_dict)
        if self.args.should_save:
            checkpoints.leave_out_code(Path(output_dir))
            Path(output_dir, "training_args.bin").unlink(missing_ok=True)

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        """Write to `partial` with a manifest, move into place, then delete the oldest."""
        folder = Path(self.args.output_dir)
        name, self.saving = f"checkpoint-{self.state.global_step}", True
        try:
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                checkpoints.write_manifest(folder / "partial" / name)
                checkpoints.move_into_place(folder / "partial" / name, folder / name)
                rotate_checkpoints(str(folder), CHECKPOINTS_KEPT)
        except (OSError, RuntimeError) as error:  # safetensors and torch raise different errors on a full disk
            raise CannotSave(
                f"The checkpoint of step {self.state.global_step} could not be written to {folder}: {error}. The "
                "latest valid one stays. Make room on the disk and run the same command again."
            ) from error
        finally:
            self.saving = False
            if self.args.should_save:
                shutil.rmtree(folder / "partial", ignore_errors=True)
        self.accelerator.wait_for_everyone()


class CannotSave(RuntimeError):
    """A checkpoint could not be written; the message says what to do."""


def train(
    model: MiniVLMForConditionalGeneration,
    processor: MiniVLMProcessor,
    sources: list[Source],
    folder: Path,
    *,
    epochs: int = 1,
    batch: int = 32,
    micro_batch: int = 8,
    lr: float = 1e-3,
    weights: list[float] | None = None,
    temperature: float = 1.0,
    limit: int = 1024,
    cache: Path | None = None,
    bf16: bool | None = None,
    seed: int = 0,
    save_every: int | None = None,
    fsdp: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Train what requires gradients in `model`, resuming from the latest valid checkpoint in `folder`.

    Args:
        epochs: Samples seen, in units of the rows of all sources together.
        batch: Samples in one optimizer step, over all processes.
        micro_batch: Samples that one process computes at once; changes speed and memory, not the result.
        weights: Mixture weight of each source; None takes size and `temperature`, see `batches.mixture_weights`.
        limit: Longest sample in tokens.
        cache: Folder for features of a frozen vision tower; None encodes images in each step.
        bf16: Multiply in bfloat16; None does where it is fast. Weights and optimizer stay in float32.
        save_every: Steps between checkpoints, rounded to whole logs; None makes about ten in a run.

    Returns:
        "log": [{"step", "loss", each task's loss and tokens, "learning_rate", "grad_norm"}], "samples", "steps",
        "bad_rows": name to reason, "left_out": what truncation cost, "seconds": of this run's training loop.

    Raises:
        ValueError: Settings or data that cannot work; says what to do.
        CannotSave: The disk is full or not writable.
    """
    if bf16 is None:
        bf16 = bf16_is_fast("cuda" if torch.cuda.is_available() else "cpu")
    args = TrainingArguments(
        output_dir=str(folder),
        learning_rate=lr,
        weight_decay=0.01,
        max_grad_norm=1.0,
        lr_scheduler_type=SCHEDULE,
        lr_scheduler_kwargs=SCHEDULE_KWARGS,
        num_train_epochs=1,  # of the list of samples, which knows epochs of its own
        train_sampling_strategy="sequential",
        bf16=bf16,
        fsdp=fsdp or None,
        use_cpu=not torch.cuda.is_available() and not torch.backends.mps.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
        # Unused are only the parts of a vision tower that MiniVLM does not read, such as a pooler.
        ddp_find_unused_parameters=_trains_vision(model),
        ddp_timeout=24 * 3600,  # one process may wait long for features that another computes
        logging_nan_inf_filter=False,
        save_total_limit=CHECKPOINTS_KEPT,
        disable_tqdm=quiet,
        seed=seed,
        data_seed=seed,
    )
    if fsdp and args.device.type == "cpu":
        raise ValueError("--fsdp shards over GPUs, and there is none here: leave it out.")
    if args.n_gpu > 1:
        raise ValueError(f"There are {args.n_gpu} GPUs: start with torchrun --nproc_per_node {args.n_gpu} -m ...")
    micro_batch = min(micro_batch, max(1, batch // args.world_size))
    args.per_device_train_batch_size = micro_batch
    per_round = micro_batch * args.world_size
    if batch % per_round:
        raise ValueError(
            f"--batch {batch} cannot be shared by {args.world_size} processes with --micro-batch {micro_batch}: "
            f"choose a multiple of {per_round}."
        )
    args.gradient_accumulation_steps = batch // per_round
    main = args.process_index == 0

    sizes = [len(source) for source in sources]
    samples = draw_samples(sizes, mixture_weights(sizes, weights, temperature), epochs, seed)
    steps = len(samples) // batch
    if not steps:
        raise ValueError(
            f"{len(samples)} samples do not fill one batch of {batch}: choose a smaller --batch, more epochs."
        )
    if main and not quiet and len(samples) % batch:
        print(f"{len(samples)} samples make {steps} steps of {batch}; the last {len(samples) % batch} are left out.")
    data = TrainingSet(sources, processor, limit)
    features = None
    if cache is not None and not _trains_vision(model):
        model.model.vision_tower.to(args.device)
        features = VisionCache(cache, model, processor, args.process_index, args.world_size, _barrier(args), bf16)
    data.build_index(samples[: steps * batch], features.ensure if features else check_only, batch, seed)
    data.features = features
    invalid_rows = {name: why for source in sources for name, why in source.invalid_rows.items()}
    if main and not quiet:
        _report(invalid_rows, data.left_out)

    log_every = max(1, min(LOG_EVERY, steps // 20))
    logs_between = max(1, round(save_every / log_every)) if save_every else max(1, min(50, steps // (10 * log_every)))
    args.logging_steps, args.save_steps = log_every, log_every * logs_between
    args.warmup_steps = warmup_steps(steps)

    resume = checkpoints.latest_valid(folder, quiet=not main)
    if resume is not None:
        # Trainer loads by raw names, and drops what saving renamed: the weights must be in place before.
        model.load_state_dict(type(model).from_pretrained(resume, dtype=torch.float32).state_dict())
        if main and not quiet:
            print(f"{folder}: resuming from {resume.name} of {steps} steps")
    set_seed(seed)
    trainer = VLMTrainer(
        model=model,
        args=args,
        train_dataset=data,
        data_collator=Collator(processor.tokenizer.pad_token_id),
        processing_class=processor,
    )
    done = trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    return {
        "log": [entry for entry in trainer.state.log_history if "loss" in entry],
        "samples": dict(Counter(sources[sample.source].name for sample in data.samples)),
        "steps": steps,
        "bad_rows": invalid_rows,
        "left_out": dict(data.left_out),
        "seconds": done.metrics["train_runtime"],
    }


def _trains_vision(model: MiniVLMForConditionalGeneration) -> bool:
    return any(parameter.requires_grad for parameter in model.model.vision_tower.parameters())


def _barrier(args: TrainingArguments) -> Callable[[], None]:
    return torch.distributed.barrier if args.world_size > 1 else lambda: None


def _report(invalid_rows: dict[str, str], left_out: Counter[str]) -> None:
    """Say which rows were passed over and what did not fit."""
    if invalid_rows:
        print(f"{len(invalid_rows)} rows or boxes cannot be used, and the next ones are taken in their place:")
        for name, why in list(invalid_rows.items())[:20]:
            print(f"  {name}: {why}")
        if len(invalid_rows) > 20:
            print(f"  ... and {len(invalid_rows) - 20} more, all of them in run.json")
    if left_out:
        print("Left out to fit: " + ", ".join(f"{count} {what}" for what, count in left_out.items()))
