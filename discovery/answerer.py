"""Who answers at an address: the one way to tell a worker, or a proxy, from its corpse."""

from __future__ import annotations

from dataclasses import dataclass

import requests

from tfleet.discovery.address import Address
from tfleet.discovery.contract import PROXY, WORKER
from tfleet.discovery.reason import reason

_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Answerer:
    """What a request to an address found.

    `worker` is the id that answered, be it a proxy's; empty where nobody did or who did gave no name. Then
    `error` says why.
    """

    worker: str = ""
    error: str = ""


def who_answers(address: Address, *, timeout_s: float = _TIMEOUT_S) -> Answerer:
    """Ask once. Workers and proxies answer under their names also while they start or drain."""
    with requests.Session() as session:
        session.trust_env = False  # an HTTP_PROXY would answer in the worker's place
        try:
            with session.get(f"{address.url}/readyz", timeout=timeout_s, stream=True) as answer:
                worker = answer.headers.get(WORKER) or answer.headers.get(PROXY, "")
                return Answerer(worker) if worker else Answerer(error="what answers there is no worker")
        except requests.Timeout:
            return Answerer(error=f"no answer within {timeout_s:g} s")
        except requests.RequestException as error:
            return Answerer(error=reason(error))
