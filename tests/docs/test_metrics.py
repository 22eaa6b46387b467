"""docs/reference/metrics.md: its tables are what a proxy and a worker expose."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.docs.markdown import ROOT, cells
from tests.proxy.jobs.test_job_pages import proxy_with_jobs
from tests.support.redis_fixtures import redis, service
from tests.support.redis_server import RedisServer
from tests.support.tfleet_up import PHOTOS, up
from tests.support.waiting import eventually
from tfleet.worker.jobs.job_metrics import JobMetrics
from tfleet.worker.metrics import WorkerMetrics

__all__ = ["redis", "service"]

_PAGE: Final = (ROOT / "docs" / "reference" / "metrics.md").read_text()
_PACKAGES: Final = ("httpd", "proxy", "worker")
_IN_CODE: Final = re.compile(r"\"(?P<name>tfleet_(?:proxy|worker|registry)_\w+)\"")


class Described(NamedTuple):
    """What is said of a metric: its type and the names of its labels."""

    kind: str
    labels: frozenset[str]


def test_each_metric_in_the_code_has_a_row() -> None:
    in_code = {
        name.removesuffix("_total")
        for package in _PACKAGES
        for file in (ROOT / package).glob("**/*.py")
        for name in _IN_CODE.findall(file.read_text())
    }
    documented = {
        name.removesuffix("_total")
        for section in ("Proxy", "Worker", "Jobs")
        for name in _documented(section)
    }
    assert sorted(in_code - documented) == []
    assert sorted(documented - in_code - {name for name in documented if name.startswith("process_")}) == []


async def test_the_table_of_jobs_is_what_is_exposed(redis: RedisServer, service: str) -> None:
    worker = WorkerMetrics()
    worker.include(JobMetrics([str(redis.url)]))
    async with proxy_with_jobs(redis, service) as client:

        async def text() -> str:
            async with client.get("/metrics") as answer:
                return await answer.text()

        found = await eventually(text, wanted=lambda said: "tfleet_proxy_jobs{" in said)
    jobs = re.compile(r"tfleet_(?:proxy|worker)_jobs?(?:_|$)")
    _compare(_documented("Jobs"), found + worker.text().decode(), only=jobs)


@pytest.mark.process
def test_the_tables_are_what_the_processes_expose() -> None:
    with up("--listeners", "2", workers=1) as fleet:
        with (PHOTOS / "cat.jpg").open("rb") as photo:
            requests.post(fleet.url, files={"data": photo}, timeout=60).raise_for_status()
        (row,) = fleet.workers()
        _compare(_documented("Proxy"), _text(f"{fleet.url}/metrics"))
        _compare(_documented("Worker"), _text(f"{fleet.url}/workers/{row['id']}/metrics"))


def _text(url: str) -> str:
    answer = requests.get(url, timeout=30)
    answer.raise_for_status()
    return answer.text


def _documented(section: str) -> dict[str, Described]:
    table = _PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    rows = [cells(line) for line in table.splitlines() if re.match(r"\| `(?:tfleet|process)_", line)]
    return {
        name.strip("`"): Described(kind, frozenset(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels, _ in rows
    }


def _compare(documented: Mapping[str, Described], text: str, only: re.Pattern[str] = re.compile(r"")) -> None:
    exposed: dict[str, Described] = {}
    unseen: set[str] = set()
    for family in text_string_to_metric_families(text):
        if not only.match(family.name):
            continue
        if family.name.endswith("_created"):  # Prometheus' library adds it to a counter
            continue
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        exposed[name] = Described(family.type, frozenset(labels))
        if not family.samples:
            unseen.add(name)  # what has labels has no sample before it happens
    assert sorted(documented) == sorted(exposed)
    for name, described in documented.items():
        assert described.kind == exposed[name].kind, name
        assert name in unseen or described.labels == exposed[name].labels, name
