"""Stands in for Hugging Face's `spaces`: a marked generator runs in a forked process; what it yields comes pickled."""

import multiprocessing

import torch  # noqa: F401  the real one imports it, too, so that forked processes need not

FORK = multiprocessing.get_context("fork")


def GPU(duration):  # noqa: N802
    def mark(function):
        def call(*args):
            results, stop = FORK.Queue(), FORK.Event()

            def work():
                answer = function(*args)
                for state in answer:
                    if stop.is_set():
                        answer.close()
                        break
                    results.put(state)
                results.put(None)

            process = FORK.Process(target=work, daemon=True)
            process.start()
            try:
                while (state := results.get(timeout=120)) is not None:
                    yield state
            except GeneratorExit:
                stop.set()
                raise
            finally:
                process.join(10)

        return call

    return mark
