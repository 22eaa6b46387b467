from tests.support.embedded_registry import embedded_registry
from tfleet.contract.address import Address
from tfleet.discovery.consul.agent import ConsulAgent
from tfleet.discovery.errors import Loss
from tfleet.discovery.instance import Instance
from tfleet.discovery.registration.heartbeat import Registration
from tfleet.worker.metrics import WorkerMetrics
from tfleet.worker.registry_metrics import RegistrationMetrics


def test_registration_counters_are_read_at_each_scrape() -> None:
    now_s = 0.0
    worker = Instance("w1", Address("127.0.0.1", 8000))
    metrics = WorkerMetrics()
    with embedded_registry() as registry:
        agent = ConsulAgent(registry, "tfleet", ttl_s=10)
        registration = Registration(agent, worker, clock=lambda: now_s)
        metrics.include(RegistrationMetrics(registration))
        assert "tfleet_registry_registered 0.0\n" in metrics.text().decode()
        registration.step()
        agent.deregister(worker)
        registration.step()
        registration.step()
        registration.contact.failed()
        registration.removed_stale = 2
        now_s = 7.5
        lines = metrics.text().decode().splitlines()
    assert "tfleet_registry_registered 1.0" in lines
    assert "tfleet_registry_last_sync_seconds 7.5" in lines
    assert "tfleet_registry_failures_total 1.0" in lines
    assert "tfleet_registry_removed_stale_entries_total 2.0" in lines
    counts = {Loss.FORGOTTEN: 1, Loss.UNLISTED: 0, Loss.NOT_PASSING: 0}
    for loss, times in counts.items():
        assert f'tfleet_registry_reregistrations_total{{reason="{loss}"}} {times:.1f}' in lines
