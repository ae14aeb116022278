"""Who is the owner of a page, and what nobody else can do."""

import asyncio
import threading
from types import SimpleNamespace

import gradio as gr
import pytest

from tests.fake_engine import FakeRunner, fake_engine
from vlm_demo.engine import ICONS
from vlm_demo.engine import models as engine_models
from vlm_demo.results import EngineError
from vlm_demo.runners.needs import Needs
from vlm_demo.ui import Owner, models
from vlm_demo.ui.common import Page
from vlm_demo.ui.owner import address


def visitor(
    host: str | None = "127.0.0.1", key: str | None = None, session: str = "a", **headers: str
) -> SimpleNamespace:
    """A request as gradio hands it to listeners."""
    client = None if host is None else SimpleNamespace(host=host)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    query = {} if key is None else {"owner": key}
    return SimpleNamespace(client=client, query_params=query, headers=named, session_hash=session)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (visitor("127.0.0.1"), True),
        (visitor("::1"), True),
        (visitor("192.168.1.7"), False),
        (visitor("192.168.1.7", key="right"), True),
        (visitor("192.168.1.7", key="wrong"), False),
        (visitor("192.168.1.7", key=""), False),
        (visitor("127.0.0.1", X_Forwarded_For="192.168.1.7"), False),  # a proxy on this machine speaks for somebody
        (visitor("127.0.0.1", key="right", X_Forwarded_For="192.168.1.7"), True),
        (visitor("not an address"), False),
        (visitor(None), False),
    ],
)
def test_the_owner_is_at_this_machine_or_has_the_key(request_: SimpleNamespace, expected: bool) -> None:
    owner = Owner("right")
    assert owner.is_owner(request_) is expected
    if not expected:
        with pytest.raises(EngineError, match="owner=KEY"):
            owner.check(request_)


def test_where_a_tunnel_ends_on_this_machine_only_the_key_counts() -> None:
    owner = Owner("right", local=False)
    assert not owner.is_owner(visitor("127.0.0.1"))
    assert owner.is_owner(visitor("127.0.0.1", key="right"))


def test_the_key_is_a_new_one_each_time_unless_the_environment_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLM_DEMO_OWNER_KEY", raising=False)
    first, second = Owner(), Owner()
    assert len(first.key) >= 16 and first.key != second.key
    assert first.key not in repr(first)
    monkeypatch.setenv("VLM_DEMO_OWNER_KEY", "chalk")
    assert Owner().key == "chalk"


def test_without_an_address_there_is_none() -> None:
    assert address(visitor(None)) == ""


def test_who_may_name_which_models() -> None:
    engine = fake_engine("hello")
    stranger, local = visitor("192.168.1.7"), visitor()
    everyone, owners = (Page(engine, None, Owner("right"), adding) for adding in ("everyone", "owner"))
    assert models.meant(everyone, " user/model ", stranger) == models.meant(owners, "user/model", local) == "user/model"
    assert models.meant(everyone, "Icon scenes", stranger) == str(ICONS)
    with pytest.raises(EngineError, match="owner=KEY"):
        models.meant(owners, "user/model", stranger)
    for folder in ("/etc", "vlm_demo/ui", str(ICONS.parent)):
        assert models.meant(everyone, folder, local) == folder
        with pytest.raises(EngineError, match="only the owner of this page can name a folder"):
            models.meant(everyone, folder, stranger)
    for who in (stranger, local):
        with pytest.raises(EngineError, match="Servers are named by whoever starts the page"):
            models.meant(everyone, "qwen3_vl=http://10.0.0.1", who)
        with pytest.raises(EngineError, match="type its name first"):
            models.meant(everyone, " ", who)
        with pytest.raises(EngineError, match="no models are added to this page"):
            models.meant(Page(engine, None, Owner("right"), "nobody"), "user/model", who)
    engine.close()


def test_visitors_add_models_up_to_a_number_and_the_owner_beyond_it(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = fake_engine("hello")
    page = Page(engine, None, Owner("right"), "everyone")
    monkeypatch.setattr(models, "MOST", 1)
    with pytest.raises(EngineError, match="has 1 models, and visitors add no more"):
        models.meant(page, "user/model", visitor("192.168.1.7"))
    assert models.meant(page, "user/model", visitor("192.168.1.7", key="right")) == "user/model"
    engine.close()


def test_where_the_list_is_locked_there_is_nothing_to_add_models_with() -> None:
    engine = fake_engine("hello")
    with gr.Blocks():
        assert models.build(Page(engine, None, Owner("right"), "nobody")) is None
        assert models.build(Page(engine, None, Owner("right"), "owner")) is not None
    engine.close()


def test_only_who_asked_for_a_model_or_the_owner_can_cancel_it(monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = threading.Event()

    class Slow(FakeRunner):
        def load(self) -> None:
            assert goes_on.wait(60)

    monkeypatch.setattr(engine_models, "open_runner", lambda *_: Slow(lambda turns, images: "slow"))
    engine = fake_engine("hello")
    page = Page(engine, None, Owner("right"), "everyone")
    with gr.Blocks() as demo:
        models.wire(page, models.build(page), gr.Radio(), demo, lambda model, visit: {})
    load, give_up = (next(one.fn for one in demo.fns.values() if one.name == name) for name in ("bring", "give_up"))
    asker, stranger = (visitor("192.168.1.7", session=session) for session in ("asker", "stranger"))
    needs = Needs(str(ICONS), (), 1, 0, 1, 1)

    async def ask() -> list:
        return [updates async for updates in load(needs, asker)]

    async def cancel(who: SimpleNamespace) -> str:
        goes_on.clear()
        asked = asyncio.create_task(ask())
        while not engine.is_opening:
            await asyncio.sleep(0.01)
        (refused,) = [updates async for updates in load(needs, stranger)]
        assert any("is being loaded. Please try again when it is here" in str(update) for update in refused.values())
        with pytest.raises(gr.Error, match="Only the owner of this page can do that"):
            await give_up(stranger)
        await give_up(who)
        await asyncio.sleep(2 * models.LOOK)
        goes_on.set()
        await asked
        return engine.opening.stage

    for who in (asker, visitor("192.168.1.7", key="right", session="owner")):
        assert asyncio.run(cancel(who)) == "cancelled"
    assert engine.models == ["fake"]
    engine.close()
