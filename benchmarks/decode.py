"""Speed of writing tokens: python -m benchmarks.decode [--quick] [--json FILE]

One image, one question, so many tokens. Four ways to write them with the same weights: the loop of many a tutorial,
which computes the whole text anew for each token; transformers' `generate()` with its dynamic and with its static
cache; and the engine's own decoder. In all of them the image is encoded beforehand, and reading the prompt counts.
Then the engine's decoder with many sequences, and the time to the first token, image included, when it is new and
when it has been asked about before. "Not packed" leaves the weights in the order in which the model holds them. Runs
alternate; figures are medians, ratios are taken within a round. "Behind the prompt" counts out the first token, which
comes with the reading of the prompt. `same` is the share of the tokens before the first that differs from those of
`generate()`. A profile shows which operations a step of ours spends its time on.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.decoders import Bench, Shape, bundled_icons, bundled_photographs, large_model
from benchmarks.measure import Contender, alternate, ratio, report, save


def measure(shape: Shape, rounds: int, sequences: list[int]) -> dict[str, list[dict[str, Any]]]:
    """The tables of one model."""
    bench = Bench(shape)
    dynamic = "generate(), dynamic cache"
    static = "generate(), static cache"

    def ways(tokens: int) -> dict[str, Contender]:
        return {
            dynamic: lambda: bench.generate(dynamic, tokens),
            static: lambda: bench.generate(static, tokens, cache_implementation="static"),
            **{name: lambda name=name: bench.ours(name, tokens) for name in bench.decoders},
        }

    seconds = alternate({"tutorial loop": bench.tutorial, **ways(shape.tokens)}, rounds)
    same = {name: bench.same(name) for name in seconds}
    steps = {
        name: [(a * shape.tokens - b) / (shape.tokens - 1) for a, b in zip(seconds[name], firsts, strict=True)]
        for name, firsts in alternate(ways(1), rounds).items()
    }
    nothing = [float("nan")] * rounds  # the loop reads the prompt at each token
    single = [
        {
            "way": name,
            "ms/token": 1000 * statistics.median(values),
            "vs generate()": ratio(seconds[dynamic], values),
            "vs tutorial": ratio(seconds["tutorial loop"], values),
            "behind the prompt, ms/token": 1000 * statistics.median(steps.get(name, nothing)),
            "behind the prompt, vs generate()": ratio(steps[dynamic], steps.get(name, nothing)),
            "same": same[name],
        }
        for name, values in seconds.items()
    ]
    jobs = [(name, count) for name in bench.decoders for count in sequences]
    several = {f"{name}|{n}": lambda name=name, n=n: bench.ours(name, shape.tokens, n) for name, n in jobs}
    many = alternate(several, max(1, rounds // 2))  # they take long and differ little
    batch = [
        {
            "way": name,
            **{f"{n} sequences, tokens/s": 1 / statistics.median(many[f"{name}|{n}"]) for n in sequences},
        }
        for name in bench.decoders
    ]
    first = alternate(
        {
            f"{name}|{known}": lambda name=name, known=known: bench.first_token(name, known)
            for name in bench.decoders
            for known in (False, True)
        },
        rounds,
    )
    begin = [
        {
            "way": name,
            "new image, ms": 1000 * statistics.median(first[f"{name}|False"]),
            "known image, ms": 1000 * statistics.median(first[f"{name}|True"]),
            "new / known": ratio(first[f"{name}|False"], first[f"{name}|True"]),
        }
        for name in bench.decoders
    ]
    return {
        f"{shape.name}: one stream": single,
        f"{shape.name}: where a step's time goes": bench.profile(bench.default),
        f"{shape.name}: many sequences": batch,
        f"{shape.name}: first token": begin,
    }


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and tokens, under a minute")
    parser.add_argument("--json", type=Path, help="file for the figures")
    args = parser.parse_args()
    tokens, few, rounds, sequences = (24, 2, 3, [1, 8, 32]) if args.quick else (64, 8, 7, [1, 8, 32])
    sections: dict[str, list[dict[str, Any]]] = {}
    shapes = [
        Shape("bundled icon model, float32", bundled_icons, 128, torch.float32, tokens, 4 * few),
        Shape("bundled photograph model, float32", bundled_photographs, 300, torch.float32, tokens, few),
        Shape("ViT-Base + SmolLM-135M, bfloat16", large_model, 224, torch.bfloat16, tokens, few),
    ]
    if torch.cuda.is_available():
        shapes += [
            replace(shape, name=f"{shape.name.split(',')[0]}, bfloat16 on the GPU", dtype=torch.bfloat16, device="cuda")
            for shape in shapes
        ]
    for shape in shapes:
        slow = args.quick and shape.make is large_model and shape.device == "cpu"
        figures = measure(shape, 2 if slow else rounds, sequences[:2] if slow else sequences)
        report(figures, None)
        sections |= figures
    if args.json:
        save(sections, args.json)


if __name__ == "__main__":
    main()
