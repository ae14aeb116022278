"""Makes the bundled checkpoint of what was trained: python -m train.photographs.bundle --data FOLDER

Takes the trained model in bfloat16, fits the out-of-distribution score and the curves that turn its confidence into
the chance of being right, measures quality through the app's own engine, and writes everything with a
model card to checkpoints/minivlm-photographs. FOLDER holds photographs/ and fruits/.
"""

import argparse
import copy
import json
import random
import shutil
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from sklearn.linear_model import LogisticRegression

from train.finetune import checkpoints
from train.photographs import card
from train.photographs import evaluation as figures_of
from train.photographs.conversations import Seen
from train.photographs.data import Photo, Question, Variant, read
from train.photographs.everyday import everyday
from train.photographs.features import Images, batches, see
from train.photographs.out_of_distribution import KINDS, make
from train.photographs.words import LABELS, UNKNOWN, plural
from vlm_demo.checkpoints import bundled
from vlm_demo.description import FILE, Description, logit
from vlm_demo.engine import Engine
from vlm_demo.model import MiniVLMForConditionalGeneration, MiniVLMProcessor
from vlm_demo.runners.vision import NOVELTY_FILE, pool_features

SHARD = "45MB"
FITTED_ON, FOREIGN = 1000, 40  # photographs, and images of each other kind
ASKED = ("vaq2.0(yes/no)", "pope", "coco-qa")  # kinds of questions whose confidence is fitted
WORDS = 3  # of an answer that can be compared
FLAGGED = 0.98  # share of training photographs that must count as photographs
SLACK = 1.6  # how much further others may lie
ABOUT = Description(
    title="Photographs",
    knows=(
        "It knows everyday photographs: people, animals, vehicles, food, furniture, sport. It cannot read text, does "
        "not recognise who somebody is, and guesses at what is small or rare."
    ),
    notice=(
        "This does not look like the photographs that this model was trained on: it may be a drawing, a chart or a "
        "screenshot. Take its answer as a guess."
    ),
    samples="photographs",
    labels=tuple(LABELS),
    names=tuple(sorted({*LABELS, *map(plural, LABELS)})),
    select_by_asking=True,
    no_repeat_ngram_size=3,  # "a close up of a close up of"; by CIDEr-D on validation images 2 and none are no better
    asks_alone=True,  # training showed few conversations
    describes_boxes=True,
)


def average(paths: list[Path], shares: list[float]) -> dict[str, torch.Tensor]:
    """A weighted mean of checkpoints (Wortsman et al. 2022, https://arxiv.org/abs/2203.05482)."""
    states = [load_file(path / "model.safetensors") for path in paths]
    return {name: sum(share * state[name] for share, state in zip(shares, states, strict=True)) for name in states[0]}


def fit_novelty(tower, data: Path) -> dict[str, torch.Tensor]:
    """Mean, directions and threshold for `novelty_score`, from training photographs and images of other kinds.

    Each direction separates photographs from one kind of drawn images, or from all (logistic regression on pooled
    features); the score is how far an image lies from photographs along these directions, in standard deviations.
    """
    photos = read(data / "photographs", "train")
    shown = Images(photos, [(n, 0) for n in range(0, len(photos), max(1, len(photos) // FITTED_ON))])
    pooled = torch.cat([pool_features(features) for features, _ in batches(tower, shown, 1)])  # [P, 2C]
    foreign_by_kind = {kind: pooled_features(tower, make(kind, FOREIGN, seed=0)) for kind in KINDS}
    fit, held = pooled[: len(pooled) * 2 // 3], pooled[len(pooled) * 2 // 3 :]
    mean, scale = fit.mean(0), fit.std(0).clamp(min=0.05)
    width = pooled.shape[1] // 2
    seen = torch.arange(width) < sum(tower.config.map_sizes)  # what the towers see, not the regions' boxes
    scale = torch.where(torch.cat([seen, seen]), scale, torch.inf)
    directions = []
    for foreign in (*foreign_by_kind.values(), torch.cat(list(foreign_by_kind.values()))):
        inputs = ((torch.cat([fit, foreign]) - mean) / scale).numpy()
        kinds = np.r_[np.zeros(len(fit)), np.ones(len(foreign))]
        weights = LogisticRegression(C=1e-3, max_iter=500, class_weight="balanced").fit(inputs, kinds).coef_[0]
        directions.append(torch.from_numpy(weights / (inputs[: len(fit)] @ weights).std()).float())
    whitening = torch.stack(directions) / scale  # [kinds + 1, 2C]
    threshold = ((held - mean) @ whitening.T).norm(dim=-1).quantile(FLAGGED) * SLACK
    return {"mean": mean, "whitening": whitening.contiguous(), "threshold": threshold}


def pooled_features(tower, images: list[Image.Image]) -> torch.Tensor:
    """`pool_features` of images at the tower's size, `[images, 2C]`."""
    pixels = np.stack([np.asarray(Variant().image(image)) for image in images])
    parts = torch.from_numpy(pixels).permute(0, 3, 1, 2).split(8)
    return torch.cat([pool_features(see(tower, part)[0]) for part in parts])


def curve(rated: list[tuple[float, ...]], right: list[bool], weights: list[float] | None = None) -> list[float]:
    """Bias and weights of a logistic curve from probabilities to the chance of being right; `weights` are those of the
    examples, one on average."""
    inputs = np.array([[logit(one) for one in row] for row in rated])
    model = LogisticRegression(C=10.0).fit(inputs, right, weights)
    return [float(model.intercept_[0]), *map(float, model.coef_[0])]


def everyday_questions(tower, photos: list[Photo]) -> list[tuple[Photo, Question]]:
    """What `everyday` asks of photographs where the answer is a word or two, so that it can be told whether an answer
    is right."""
    shown = Images(photos, [(n, 0) for n in range(len(photos))])
    regions = [one for _, part in batches(tower, shown, 0) for one in part]
    asked = []
    for photo, own in zip(photos, regions, strict=True):
        for conversation in everyday(Seen(photo, own), random.Random(photo.image_id)):
            ((_, question, answer),) = conversation.turns
            if len(answer.split()) <= WORDS or answer == UNKNOWN:
                asked.append((photo, Question(question, answer, "everyday")))
    return asked


def calibrate(target: Path, data: Path, tower, limit: int | None) -> None:
    """Fit both curves and the threshold on every second validation photograph, and write them into the description."""
    photos = read(data / "photographs", "validation")[::2]
    boxed = [photo for photo in photos if photo.boxed == "all"]
    rated_by_source = {}
    for name, weights in (("words", [0.0, 1.0, 0.0]), ("region", [0.0, 0.0, 1.0])):  # what each gives alone
        write_description(target, replace(ABOUT, calibration={"boxes": weights}))
        engine = Engine(target, dtype="float32", max_waiting=10_000)  # the same boxes both times, on any machine
        results, _, rated = figures_of.detections(engine, boxed, 0.0)
        rated_by_source[name] = rated
        if name == "words":
            asked = [(photo, qa) for photo in photos for qa in photo.questions if qa.kind in ASKED][:limit]
            asked += everyday_questions(tower, photos)[:limit]
            _, answers = figures_of.questions(engine, asked, "answers")
        engine.close()
    pairs = [
        (word, region)
        for (word, _), (region, _) in zip(rated_by_source["words"], rated_by_source["region"], strict=True)
    ]
    right = [ok for _, ok in rated_by_source["words"]]
    # Every source counts alike: nobody knows which of them a visitor's questions will resemble.
    sources = Counter(qa.kind for _, qa in asked)
    kinds: dict[str, list[tuple[float, bool, float]]] = {}
    for (result, ok), (_, qa) in zip(answers, asked, strict=True):
        weight = len(asked) / (len(sources) * sources[qa.kind])
        kinds.setdefault(ABOUT.answer_kind(qa.question, result.text), []).append((result.confidence, ok, weight))
    curves = {}
    for kind, own in kinds.items():
        rated, answers_right, weights = zip(*own, strict=True)
        curves[kind] = curve([(one,) for one in rated], list(answers_right), list(weights))
    about = replace(ABOUT, calibration={"boxes": curve(pairs, right), **curves})
    chances = np.array([about.calibrated("boxes", *pair) for pair in pairs])
    objects = sum(len(photo.objects) for photo in boxed)
    scores = {
        at: 2
        * sum(ok for ok, chance in zip(right, chances, strict=True) if chance >= at)
        / (objects + (chances >= at).sum())
        for at in np.linspace(0, 0.7, 36)
    }
    write_description(target, replace(about, threshold=round(float(max(scores, key=scores.__getitem__)), 2)))


def write_description(folder: Path, description: Description) -> None:
    fields = asdict(description)
    fields.pop("familiarity")  # a file of its own
    (folder / FILE).write_text(json.dumps(fields, indent=2))


def flagged(engine: Engine, data: Path, count: int) -> dict[str, float]:
    """Share of images of each kind that are flagged as out of distribution; photographs are of the validation split."""
    images_by_kind = {kind: make(kind, count, seed=1) for kind in KINDS}
    photos = read(data / "photographs", "validation")
    images_by_kind["photographs"] = [photo.open() for photo in photos[:: max(1, len(photos) // (4 * count))]]
    return {
        kind: sum(engine.novelty(image).outside for image in images) / len(images)
        for kind, images in images_by_kind.items()
    }


def main() -> None:
    """Assemble, fit, measure, describe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--run", type=Path, nargs="+", default=[Path("runs/photographs")], help="the last is the newest"
    )
    parser.add_argument("--shares", type=float, nargs="+", default=[1.0], help="of each run in the weights")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--target", type=Path, default=bundled("minivlm-photographs"))
    parser.add_argument("--limit", type=int, help="measure on at most so many of each kind")
    args = parser.parse_args()
    newest = args.run[-1] / "model"
    model = MiniVLMForConditionalGeneration.from_pretrained(newest, dtype=torch.float32)
    model.load_state_dict(average([run / "model" for run in args.run], args.shares), strict=False)
    model.tie_weights()
    args.target.mkdir(parents=True, exist_ok=True)
    for old in args.target.glob("*.safetensors"):
        old.unlink()
    tower = model.model.vision_tower.eval()
    save_file(fit_novelty(tower, args.data), args.target / NOVELTY_FILE)
    copy.deepcopy(model).to(torch.bfloat16).save_pretrained(args.target, max_shard_size=SHARD)
    MiniVLMProcessor.from_pretrained(newest).save_pretrained(args.target)
    checkpoints.leave_out_code(args.target)
    calibrate(args.target, args.data, tower, args.limit)
    if (args.run[0] / "losses.png").exists():
        shutil.copy(args.run[0] / "losses.png", args.target / "losses.png")
    engine = Engine(args.target, max_waiting=10_000)
    figures = figures_of.measure(engine, args.data, limit=args.limit)
    figures |= {f"{name}_test": value for name, value in figures_of.measure(engine, args.data, "test").items()}
    figures["flagged"] = flagged(engine, args.data, 50)
    engine.close()
    (args.target / "figures.json").write_text(json.dumps(figures, indent=2))
    card.write(figures, args.target)


if __name__ == "__main__":
    main()
