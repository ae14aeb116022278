"""Fits the notice for unfamiliar questions (`vlm_demo.familiarity`) on answers that are known to be right or wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

from vlm_demo.familiarity import FILE, Familiarity, count_words
from vlm_demo.results import Result

AnsweredQuestion = tuple[str, Result, bool]  # a question, its answer, whether that is right


def fit(questions: Iterable[str], answered: Sequence[AnsweredQuestion], right_flagged: float = 0.08) -> Familiarity:
    """The score for a model whose training asked `questions`.

    The logistic curve is fitted to `told`, answers to questions in wordings that training never saw; the threshold
    flags the share `right_flagged` of the right answers among them.
    """
    singles, pairs = count_words(questions)
    blank = Familiarity(singles, pairs)
    signals = torch.tensor([blank.signals(question, result.tokens) for question, result, _ in answered])
    wrong = torch.tensor([not right for _, _, right in answered]).float()
    weights = _logistic(signals, wrong)
    fitted = replace(blank, weights=tuple(weights.tolist()))
    scores = np.array([fitted.score(question, result.tokens) for question, result, _ in answered])
    right = scores[wrong.numpy() == 0]
    return replace(fitted, threshold=float(np.quantile(right, 1 - right_flagged)) if len(right) else 0.0)


def _logistic(signals: torch.Tensor, wrong: torch.Tensor) -> torch.Tensor:
    """Weights of a logistic regression, the bias first; both kinds of answers count alike, large weights cost."""
    mean, spread = signals.mean(0), signals.std(0) + 1e-6
    scaled = torch.cat([torch.ones(len(signals), 1), (signals - mean) / spread], 1)  # [n, 1 + S]
    weights = torch.zeros(scaled.shape[1], requires_grad=True)
    balance = torch.where(wrong > 0, 0.5 / wrong.mean().clamp(min=1e-3), 0.5 / (1 - wrong).mean().clamp(min=1e-3))
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        entropy = torch.nn.functional.binary_cross_entropy_with_logits(scaled @ weights, wrong, balance)
        total = entropy + 1e-3 * weights[1:].square().sum()
        total.backward()
        return total

    optimizer.step(loss)
    plain = weights.detach()[1:] / spread
    return torch.cat([weights.detach()[:1] - (plain * mean).sum(), plain])


def write(familiarity: Familiarity, folder: Path) -> None:
    """Keep the score beside a checkpoint's weights."""
    held = {
        "singles": familiarity.singles,
        "pairs": familiarity.pairs,
        "weights": np.array(familiarity.weights, np.float32),
        "threshold": np.array([familiarity.threshold], np.float32),
    }
    save_file(held, folder / FILE)
