"""A stateful model changes with each request: what may have reached it is not sent again."""

import json

from tests.proxy.forwarding.test_forwarder import post
from tests.proxy.forwarding.test_retries_end_to_end import BODY, hang_up_after_the_body, hang_up_in_the_head
from tests.support.embedded_registry import embedded_registry
from tests.support.fake_worker import fake_worker, raw_server, settings
from tests.support.registered_workers import ready, register, workers
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.discovery.registry import ConsulRegistry
from tfleet.proxy.server import single_process_proxy


async def outcome(bad: Address, stateful: str) -> tuple[int, str, int]:
    """The status, the reason of an error, and how many requests came to a good worker, after two requests:
    one of them meets the bad worker first.
    """
    with embedded_registry() as registry:
        async with (
            fake_worker() as good,
            single_process_proxy(settings(registry=ConsulRegistry(registry))) as proxy,
        ):
            good.name = "good"
            await register(registry, bad, worker_id="bad", stateful=stateful)
            await register(registry, good.address, worker_id="good", stateful=stateful)
            await eventually(lambda: workers(proxy), wanted=lambda rows: ready(rows, 2))
            answers = [await post(proxy, data=BODY) for _ in range(2)]
            worst, content = max(answers, key=lambda answer: answer[0].status)
            reason = "" if worst.status == 200 else json.loads(content)["detail"]
            return worst.status, reason, len(good.seen)


async def test_a_request_that_may_have_run_is_not_retried() -> None:
    async with raw_server(hang_up_after_the_body) as bad:
        status, reason, served = await outcome(bad, "true")
    assert (status, served) == (502, 1)
    assert "bad" in reason


async def test_a_request_whose_head_went_out_is_not_retried() -> None:
    async with raw_server(hang_up_in_the_head) as bad:
        status, _, served = await outcome(bad, "true")
    assert (status, served) == (502, 1)


async def test_requests_to_other_models_are_retried() -> None:
    async with raw_server(hang_up_after_the_body) as bad:
        assert await outcome(bad, "") == (200, "", 2)


async def test_a_refused_connection_has_run_nothing() -> None:
    with embedded_registry() as registry:
        async with (
            fake_worker() as good,
            single_process_proxy(settings(registry=ConsulRegistry(registry))) as proxy,
        ):
            async with raw_server(hang_up_in_the_head) as gone:
                for name, address in (("gone", gone), ("good", good.address)):
                    await register(registry, address, worker_id=name, stateful="true")
                await eventually(lambda: workers(proxy), wanted=lambda rows: ready(rows, 2))
            assert [(await post(proxy, data=BODY))[0].status for _ in range(2)] == [200, 200]
            assert len(good.seen) == 2
