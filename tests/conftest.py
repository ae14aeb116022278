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


@pytest.fixture(scope="module")
def processor():
    from tests.tiny import tiny_processor

    return tiny_processor()


@pytest.fixture(scope="module")
def llama_processor(tmp_path_factory):
    from tests.llama_tokenizer import llama_processor

    return llama_processor(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def model(processor):
    """A tiny model with random weights."""
    from tests.tiny import tiny_config, tiny_model

    return tiny_model(tiny_config(processor))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Folder and processor of each family, made on first use."""
    import families

    folders = {}

    def get(family):
        if family not in folders:
            folder = tmp_path_factory.mktemp("families") / family
            folders[family] = folder, families.save(family, folder)
        return folders[family]

    return get


@pytest.fixture
def engine(checkpoint):
    """An engine on the tiny model."""
    from vlm_demo.engine import Engine
    from vlm_demo.runners.minivlm import MiniVLMRunner

    engine = Engine(runner=MiniVLMRunner(checkpoint, "cpu", "float32"))
    engine.load()
    yield engine
    engine.close()
