"""What stays behind when models come and go: python -m benchmarks.reloading [--rounds 10] [--json FILE]

Each round loads every model (the bundled ones, unless `--models` names others), asks each about an image, and unloads
them. The first round brings what a process keeps for good (libraries, tokenizers); behind it the level must stay.
"""

from __future__ import annotations

import argparse
import gc
import statistics
from pathlib import Path

from benchmarks.measure import memory, report
from vlm_demo.engine import ICONS, PHOTOGRAPHS, Engine, SamplingParameters
from vlm_demo.samples import samples

COLUMNS = ("loaded, MB", "unloaded, MB", "tensors left, MB")
KEPT = 2  # rounds after which a process has what it keeps


def measure(models: list[str], rounds: int) -> list[dict[str, float]]:
    """After each round: megabytes of the process with the models and without, and of the tensors that are left."""
    import torch

    engine = Engine(models[0], device="cpu", models=models[1:])
    image = samples()[0].open()
    rows = []
    for number in range(1, rounds + 1):
        for model in engine.models:
            engine.caption(image, settings=SamplingParameters(max_new_tokens=8), model=model)
        loaded = own_memory()
        engine.unload()
        gc.collect()
        tensors = sum(one.nbytes for one in gc.get_objects() if issubclass(type(one), torch.Tensor))
        sizes = (loaded, own_memory(), tensors)
        rows.append({"round": number, **dict(zip(COLUMNS, (size / 1e6 for size in sizes), strict=True))})
    engine.close()
    return rows


def own_memory() -> int:
    """Bytes that this process has written, in memory or swapped out: of files that it reads, the system drops pages as
    it likes."""
    return memory(field="RssAnon") + memory(field="VmSwap")


def growth(rows: list[dict[str, float]]) -> float:
    """The level of the last rounds over that of the first ones in which the process had what it keeps."""
    levels = [row["unloaded, MB"] for row in rows[KEPT:]]
    third = max(1, len(levels) // 3)
    return statistics.median(levels[-third:]) / statistics.median(levels[:third])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=[str(PHOTOGRAPHS), str(ICONS)])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", type=Path)
    flags = parser.parse_args()
    rows = measure(flags.models, flags.rounds)
    report({"loads": rows, "growth": [{"last rounds over first ones": growth(rows)}]}, flags.json)


if __name__ == "__main__":
    main()
