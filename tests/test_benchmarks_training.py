"""The training benchmark puts the plain loop and ours side by side, on the tiny shape, in seconds."""

import pytest

from benchmarks import training


def test_training_is_measured_beside_the_plain_loop(tmp_path):
    job = training.Job("tiny", "icons", samples=8, batch=4, lr=3e-4, cache=tmp_path)
    ways, (compared,), (filled,) = training.measure(job, rounds=1).values()
    plain, ours = ways
    assert compared["samples_per_s_ratio"] == pytest.approx(ours["samples/s"] / plain["samples/s"])
    assert compared["peak_memory_ratio"] == pytest.approx(ours["peak memory, MB"] / plain["peak memory, MB"])
    assert compared["loss_difference"] == pytest.approx(ours["loss"] - plain["loss"])
    assert abs(compared["loss_difference"]) < 0.5 < plain["loss"]  # two small steps from the same weights
    assert filled["samples/s"] > 0 and list(tmp_path.glob("*/*.npy"))
