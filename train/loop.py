"""The training loop that the from-scratch stages share: resumable to the step, with a progress bar and curves."""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from train.files import write_whole
from train.plots import write_losses

Losses = dict[str, torch.Tensor]  # "loss" is what is minimised; the others are only reported


def one_cycle(step: int, steps: int, warmup: float = 0.08, floor: float = 0.01) -> float:
    """Share of the peak learning rate at a step: a linear rise, then half a cosine down to `floor`."""
    rise = max(1, int(steps * warmup))
    if step < rise:
        return (step + 1) / rise
    progress = (step - rise) / max(1, steps - rise)
    return floor + (1 - floor) * 0.5 * (1 + float(torch.cos(torch.tensor(progress * torch.pi))))


def decay_groups(modules: list[nn.Module], weight_decay: float) -> list[dict]:
    """Parameter groups for AdamW: weight matrices decay, biases, norms and embeddings of one dimension do not."""
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def run(
    folder: Path,
    modules: dict[str, nn.Module],
    step_losses: Callable[[int], Losses],
    *,
    steps: int,
    lr: float,
    weight_decay: float = 0.05,
    save_every: int = 250,
    clip: float = 1.0,
    evaluate: Callable[[], dict[str, float]] | None = None,
) -> None:
    """Train `modules` for `steps` steps and keep `folder/last.pt`, `log.json` and `losses.png`.

    `step_losses(step)` must depend on nothing but the step and the weights: then a run that was stopped (Ctrl+C or
    kill) and started again goes through the same batches and ends with the same weights. Checkpoints are written to a
    temporary file and moved in place, so the latest valid one survives a crash while writing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    optimizer = torch.optim.AdamW(decay_groups(list(modules.values()), weight_decay), lr=lr, betas=(0.9, 0.98))
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    last, history, start = folder / "last.pt", [], 0
    if last.exists():
        state = torch.load(last, map_location="cpu", weights_only=True)
        for name, module in modules.items():
            module.load_state_dict(state["modules"][name])
        optimizer.load_state_dict(state["optimizer"])
        start, history = state["step"], state["history"]
        print(f"{folder}: resuming at step {start} of {steps}")

    def save(step: int) -> None:
        state = {
            "modules": {name: module.state_dict() for name, module in modules.items()},
            "optimizer": optimizer.state_dict(),
            "step": step,
            "history": history,
        }
        write_whole(last, lambda file: torch.save(state, file))

    sums: dict[str, float] = {}
    done = start
    try:
        with tqdm(range(start, steps), initial=start, total=steps, desc=folder.name, mininterval=5) as bar:
            for step in bar:
                for parameter_group in optimizer.param_groups:
                    parameter_group["lr"] = lr * one_cycle(step, steps)
                torch.manual_seed(step)  # dropout falls alike in a run that was stopped in between
                losses = step_losses(step)
                losses["loss"].backward()
                nn.utils.clip_grad_norm_(parameters, clip)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                done = step + 1
                for name, value in losses.items():
                    sums[name] = sums.get(name, 0.0) + float(value.detach())
                if done % 50 == 0:
                    entry = {name: value / 50 for name, value in sums.items()}
                    history.append({"step": done, **entry})
                    sums = {}
                    bar.set_postfix({name: f"{value:.3f}" for name, value in entry.items()})
                if done % save_every == 0 or done == steps:
                    save(done)
                    write_log(folder, history)
                    if evaluate is not None and done % (4 * save_every) == 0:
                        bar.write(f"step {done}: " + json.dumps({k: round(v, 4) for k, v in evaluate().items()}))
    except KeyboardInterrupt:
        # Stopped between two saves: the step in progress may be half done, so the last save stays valid.
        raise SystemExit(f"Stopped. The same command resumes from the last save in {folder}.") from None


def write_log(folder: Path, history: list[dict[str, float]]) -> None:
    """`log.json` and a plot of every loss over the steps."""
    (folder / "log.json").write_text(json.dumps(history))
    if history:
        write_losses(folder / "losses.png", history)
