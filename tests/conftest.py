"""What several test files need."""

import pytest


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The folder of a tiny model with random weights."""
    from tests.tiny import tiny_config, tiny_model, tiny_processor  # slow to import, and few tests need it

    folder = tmp_path_factory.mktemp("tiny")
    processor = tiny_processor()
    tiny_model(tiny_config(processor)).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
