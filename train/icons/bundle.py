"""Makes the bundled checkpoint of what was trained: python -m train.icons.bundle [--run runs/multitask] [--scenes 1000]

Takes the trained model, fits the out-of-distribution score, measures quality through
the app's own engine, and writes everything with a model card to checkpoints/minivlm-icons.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from train.card import VLM, write_card
from train.evaluation import unfamiliar
from train.evaluation.everyday import answers, everyday_questions, measure_everyday
from train.evaluation.pointing import measure_pointing
from train.evaluation.scenes import measure
from train.features import from_array
from train.finetune import checkpoints
from train.icons import features, rendering
from train.icons.vocabulary import asked
from train.report import table
from vlm_demo.engine import Engine
from vlm_demo.model import MiniVLMForConditionalGeneration, MiniVLMProcessor
from vlm_demo.runners.vision import NOVELTY_FILE, novelty_score, pool_features

TARGET = Path("checkpoints/minivlm-icons")
OUTSIDE_QUANTILE = 0.995  # share of new scenes that must count as in distribution


def fit_novelty(maps: list[np.ndarray]) -> dict[str, torch.Tensor]:
    """Mean, whitening and threshold of the pooled features of the rendered scenes; see `novelty_score`."""
    images = torch.cat([from_array(part).flatten(0, 1) for part in maps])
    pooled = pool_features(images)  # [P, 2C]
    fit, held = pooled[:-2000], images[-2000:]
    mean = fit.mean(0)
    covariance = (fit - mean).T @ (fit - mean) / len(fit)
    covariance += torch.eye(len(mean)) * covariance.diagonal().mean() * 0.01  # shrinkage: no direction is noise-thin
    values, vectors = torch.linalg.eigh(covariance)
    whitening = (vectors * values.rsqrt()).T.contiguous()  # [2C, 2C], W.T @ W = inverse covariance
    threshold = novelty_score(held, mean, whitening).quantile(OUTSIDE_QUANTILE) * 1.15
    return {"mean": mean, "whitening": whitening, "threshold": threshold}


def fit_unfamiliar(target: Path, each: int) -> None:
    """Fit the notice for unfamiliar questions on answers to the development wordings, which training never made."""
    engine = Engine(target, dtype="float32")
    asked_of_it = everyday_questions("development", each)
    answered = [(one.question, result, right) for one, result, right in answers(engine, asked_of_it)]
    engine.close()
    unfamiliar.write(unfamiliar.fit((qa.question for qa in asked(2000)), answered), target)


def card(figures: dict, step: int, note: str, parameters: int, size: int) -> str:
    """The text of the model card, with the measured figures."""
    n = figures["n"]
    rows = [
        ("Detection, F1 at IoU 0.5", "detection_f1", n),
        ("Detection, mAP50", "map50", n),
        ("Detection, mAP50-95", "map50_95", n),
        ("Detection, valid JSON", "json_valid", n),
        ("Caption: every object, colour and number right", "caption_objects", n),
        ("Caption: setting right", "caption_setting", n),
        ("Questions", "vqa", figures["n_vqa"]),
        ("What changed, in words", "change", figures["n_change"]),
        ("Which image shows ...", "which_image", figures["n_which_image"]),
        ("Story across three images", "story", figures["n_story"]),
        ("Boxes of what is named: all of them and no other", "named", figures["n_named"]),
        ("None found, where what is named is not there", "named_absent", figures["n_named_absent"]),
        ("Words for what is in a box drawn by hand", "words_for_box", figures["n_words_for_box"]),
        ('"None of them.", where no image shows it', "none_of_them", figures["n_none_of_them"]),
    ]
    shares = table([{"what": name, "right": f"{figures[key]:.1%}", "of": count} for name, key, count in rows])
    kinds, everyday = by_kind("kind", figures["vqa_by_kind"]), by_kind("everyday kind", figures["everyday_by_kind"])
    held, vision, notice = figures["heldout"], figures["vision"], figures["unfamiliar"]
    return f"""# MiniVLM, icon scenes

A vision-language model of {parameters / 1e6:.1f} million parameters ({size / 1e6:.1f} MB), trained from scratch on two
CPU cores: a ResNet, an MLP projector with learned image positions, and a six-layer Llama-shaped language model. It
captions, detects (as JSON), answers questions, and compares images of one small world: Font Awesome icons in nine
colours in six settings, drawn by `vlm_demo.scenes`.

## Measured

On unseen scenes (seeds from {figures["seed"]}), greedy, through the app's engine:
`python -m benchmarks.quality --scenes {n} --seed {figures["seed"]} --dtype float32`

{shares}

Questions by kind:

{kinds}

Everyday wordings: {figures["n_wordings"]} questions written by hand, in words that no training template makes, asked
{figures["n_everyday"]} times about unseen scenes (`python -m train.evaluation.everyday --dtype float32`):
**{figures["everyday"]:.1%} right**; behind three other questions in a conversation {figures["everyday_in_chat"]:.1%}
(of {figures["n_everyday_in_chat"]} about one image). Their writer had seen neither the training's wordings nor those of
the development set, which choices were made on. The notice for unfamiliar questions, fitted on the latter, flags
{notice["wrong_flagged"]:.0%} of {notice["n_wrong"]} wrong answers and {notice["right_flagged"]:.0%} of
{notice["n_right"]} right ones.

{everyday}

Combinations of colour and label that training never showed ({held["n"]} scenes made only of them, beside as many made
only of seen ones): captions {held["heldout"]["caption_objects"]:.1%} against {held["seen"]["caption_objects"]:.1%},
detection F1 {held["heldout"]["detection_f1"]:.3f} against {held["seen"]["detection_f1"]:.3f}.

## Training

Vision encoder: `python -m train.icons.vision`; scored at each object's centre over {vision["scenes"]} unseen scenes:
class {vision["class"]:.2%}, colour {vision["colour"]:.2%}, mean IoU {vision["iou"]:.3f}. Projector and language model,
encoder frozen: `python -m train.icons.multitask`, {step:,} steps. The curves are in `losses.png`.{note and " " + note}

## Limits

It knows nothing but icon scenes: on a photograph every answer is a guess in the words of its own world, and the app
says so (`novelty.safetensors` holds the score). It reads English questions; where one is worded unlike all that it was
trained on, the app says that too (`questions.safetensors`). It sees 128 x 128 pixels, so small icons are told apart
less surely than large ones.

The icons are Font Awesome Free (icons CC BY 4.0, font SIL OFL 1.1).
"""


def by_kind(head: str, figures: dict[str, dict[str, float]]) -> str:
    """Shares of right answers by kind of question, as a table."""
    rows = [{head: kind, "right": f"{one['accuracy']:.1%}", "of": one["n"]} for kind, one in figures.items()]
    return table(rows)


def main() -> None:
    """Assemble, fit, measure, describe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=Path("runs/multitask"))
    parser.add_argument("--target", type=Path, default=TARGET)
    parser.add_argument("--scenes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep-novelty", action="store_true", help="the target's: the encoder is the same as before")
    parser.add_argument("--each", type=int, default=3, help="scenes for each everyday wording")
    parser.add_argument("--note", default="", help="what else the card should say of the training")
    args = parser.parse_args()
    # The encoder's scores come from its training; where only its weights are left, the last bundle still knows them.
    scores, figures_file = Path("runs/vision/figures.json"), args.target / "figures.json"
    vision = json.loads(scores.read_text()) if scores.exists() else json.loads(figures_file.read_text())["vision"]
    model = MiniVLMForConditionalGeneration.from_pretrained(args.run / "model")
    processor = MiniVLMProcessor.from_pretrained(args.run / "model")
    args.target.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(args.target)
    processor.save_pretrained(args.target)
    checkpoints.leave_out_code(args.target)
    if not args.keep_novelty:
        maps = features.compute(model.model.vision_tower.eval(), "scenes", 12 * rendering.CHUNK)
        save_file(fit_novelty(maps), args.target / NOVELTY_FILE)
    fit_unfamiliar(args.target, 2 * args.each)
    shutil.copy(args.run / "losses.png", args.target / "losses.png")
    size = sum(path.stat().st_size for path in args.target.glob("*.safetensors"))
    step = json.loads((args.run / "log.json").read_text())[-1]["step"]
    engine = Engine(args.target, dtype="float32")  # what the weights are worth on any machine
    figures = {
        **measure(engine, args.scenes, args.seed),
        **measure_pointing(engine, args.scenes, args.seed),
        **measure_everyday(engine, args.each, args.seed),
        "vision": vision,
    }
    engine.close()
    figures_file.write_text(json.dumps(figures, indent=2))
    text = card(figures, step, args.note, model.num_parameters(), size)
    write_card(args.target, text, **VLM, tags=["icon-scenes", "teaching"])


if __name__ == "__main__":
    main()
