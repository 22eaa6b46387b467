"""The proxy's front page: lines to paste for the models that the fleet has, in both modes."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from tests.proxy.admin.test_app import get
from tests.support.canned_server import nobody
from tests.support.embedded_registry import embedded_registry
from tests.support.fake_worker import fake_worker, settings
from tests.support.registered_workers import ready, register, workers
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.discovery.instance import Instance
from tfleet.discovery.registry import ConsulRegistry
from tfleet.proxy.admin.help_page import ServedModels, help_page, served_models
from tfleet.proxy.server import single_process_proxy

BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"
IMAGE_LINE = 'curl -v -XPOST p:1 -F "data=@cat.jpg"'


def instance(model: str, kind: str) -> Instance:
    return Instance(f"id-of-{model}", Address("w", 1), model, "1", kind=kind)


def test_a_fleet_of_tables_is_shown_no_images() -> None:
    served = served_models([instance("wine", "table"), instance("iris", "table"), instance("iris", "table")])
    assert served == ServedModels(images=False, others=("iris", "wine"))
    page = help_page("p:1", served)
    assert "cat.jpg" not in page
    assert "curl p:1/models/iris\n  curl p:1/models/wine\n" in page
    assert "curl 'http://p:1/models/iris/predict?COLUMN=1&OTHER=2'" in page


def test_a_fleet_of_images_is_shown_both() -> None:
    page = help_page("p:1", served_models([instance("lite0", "image")]))
    assert IMAGE_LINE in page
    assert "curl p:1/models/NAME" in page


def test_a_list_that_says_nothing_of_models_is_shown_both() -> None:
    for served in (served_models([]), served_models([instance("", "")])):
        assert served == ServedModels(images=True, others=())


@pytest.mark.parametrize("name", ["x; rm -rf /", "$(id)", "a b", "'", "x" * 101])
def test_no_name_is_shown_that_a_shell_would_take_apart(name: str) -> None:
    assert served_models([instance(name, "table")]).others == ()


def test_in_p2p_mode_the_lines_follow_redirects() -> None:
    page = help_page("p:1", ServedModels(images=True, others=("iris",)), p2p=True)
    assert "curl -L p:1/models/iris" in page
    assert "curl -L 'http://p:1/predict?COLUMN=1&OTHER=2'" in page
    assert IMAGE_LINE not in page, "it would not be followed to the worker"


def test_a_long_list_of_models_is_cut() -> None:
    served = served_models([instance(f"m{number}", "text") for number in range(9)])
    assert "models/m4\n" in help_page("p:1", served)
    assert "models/m5" not in help_page("p:1", served)


async def test_the_page_names_the_models_that_are_registered() -> None:
    async with AsyncExitStack() as stack:
        registry = stack.enter_context(embedded_registry())
        worker = await stack.enter_async_context(fake_worker())
        worker.name = "w1"
        made = settings(registry=ConsulRegistry(registry))
        proxy = await stack.enter_async_context(single_process_proxy(made))
        await register(registry, worker.address, model="iris", kind="table")
        await eventually(lambda: workers(proxy), wanted=ready)
        answer, text = await get(proxy, "/")
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert f"curl {proxy}/models/iris\n" in text
        assert "cat.jpg" not in text


async def test_in_p2p_mode_a_browser_gets_the_page() -> None:
    admin = nobody()
    async with (
        fake_worker() as worker,
        single_process_proxy(settings(worker, mode="p2p", admin=admin)) as proxy,
    ):
        answer, text = await get(proxy, "/", accept=BROWSER)
        assert answer.status == 200
        assert "In p2p mode it names workers" in text
        assert f"curl -L {proxy}/models" in text
        assert "/workers" not in text, "that is on the other port"
        assert (await get(proxy, "/"))[1] == f"{worker.address}\n"
        assert "/workers" in (await get(admin, "/"))[1]
