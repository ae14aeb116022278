"""The MiniVLM runner beside its tokens: memory that stays bounded, how foreign an image is, what cannot be loaded."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.tiny import image
from vlm_demo.engine import Engine, EngineError
from vlm_demo.images import load
from vlm_demo.runners.lru import ByteLRU
from vlm_demo.runners.minivlm import MiniVLMRunner
from vlm_demo.runners.vision import novelty_score, pool_features


def test_rows_come_and_go_while_memory_stays_bounded(checkpoint):
    engine = Engine(runner=MiniVLMRunner(checkpoint, "cpu", max_sequences=4, feature_bytes=2000))

    def student(seed: int) -> None:
        for number in range(4):
            generation = engine.caption_stream(image(10 * seed + number), session=seed)
            if number % 2:
                generation.cancel()
            generation.result()

    threads = [threading.Thread(target=student, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    runner = engine.runner
    assert runner._decoder.sequences == [] and runner._decoder.buffer.data.shape[1] <= 8
    assert 0 < runner._features.bytes <= 2000
    engine.close()


def test_novelty_is_the_mahalanobis_distance_and_flags_what_lies_outside(checkpoint, tmp_path):
    features = torch.randn(500, 4, 24) * torch.linspace(0.5, 2, 24)
    pooled = pool_features(features)
    covariance = pooled.T.cov() if pooled.ndim == 1 else torch.cov(pooled.T)
    precision = torch.linalg.inv(covariance + 1e-4 * torch.eye(48))
    whitening = torch.linalg.cholesky(precision).T
    difference = pooled - pooled.mean(0)
    wanted = ((difference @ precision) * difference).sum(-1).sqrt()
    torch.testing.assert_close(novelty_score(features, pooled.mean(0), whitening), wanted, rtol=1e-3, atol=1e-3)

    engine = Engine(checkpoint, device="cpu")
    assert engine.novelty(image(0)).score is None and not engine.caption(image(0)).outside
    for file in checkpoint.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    pixels = engine.runner.prepare([{"role": "user", "task": "vqa", "text": "x"}], [load(image(0))], 8).images[0].values
    home = pool_features(engine.runner.model.get_vision_features(pixels[None]).detach())[0]
    engine.close()
    stats = {"mean": home, "whitening": torch.eye(48), "threshold": torch.tensor(1e-3)}
    save_file(stats, tmp_path / "novelty.safetensors")
    engine = Engine(tmp_path, device="cpu")
    assert not engine.novelty(image(0)).outside and engine.novelty(image(1)).outside
    result = engine.answer([image(0), image(1)], "yes")
    assert result.outside and result.novelty[0] < 1e-3 < result.novelty[1]
    engine.close()


def test_a_missing_checkpoint_is_told_in_words(tmp_path):
    engine = Engine(tmp_path / "nothing", device="cpu")
    with pytest.raises(EngineError, match="neither a folder on this machine nor the name of a model"):
        engine.caption(image(0))
    assert not engine.status().loaded
    engine.close()


def test_the_cache_forgets_the_least_recently_used():
    cache = ByteLRU(100)
    for name in "abc":
        cache.put(name, name.upper(), 30)
    assert cache.get("a") == "A"
    cache.put("d", "D", 30)
    assert [cache.get(name) for name in "abcd"] == ["A", None, "C", "D"] and cache.bytes == 90
    cache.put("e", "E", 101)
    assert cache.get("e") is None and cache.bytes == 90
    cache.put("a", "AA", 40)
    assert cache.get("a") == "AA" and cache.bytes == 100
    cache.clear()
    assert cache.bytes == 0 and cache.get("a") is None


def test_whoever_comes_while_the_model_is_being_imported_is_served(checkpoint):
    code = (
        "import sys, threading; from PIL import Image; from vlm_demo.engine import Engine\n"
        f"engine = Engine({str(checkpoint)!r}, device='cpu'); picture = Image.new('RGB', (40, 40))\n"
        "threading.Thread(target=engine.load).start()\n"
        "print([engine.caption(picture).finish_reason for _ in range(2)]); engine.close()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert "[" in done.stdout and "Error" not in done.stderr, done.stderr
