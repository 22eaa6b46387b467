"""Workers of models that are registered in a registry but do not run, plans, and proxies that show a plan."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

from tests.support.canned_server import nobody
from tfleet.client.rollout.fleet_state import plan_document
from tfleet.contract.address import Address
from tfleet.contract.names import proxies_of
from tfleet.discovery.consul.agent import ConsulAgent
from tfleet.discovery.instance import Instance
from tfleet.discovery.plan import Plan, dump_plan, parse_plan, plan_key

_TIMEOUT_S = 10.0


class RegisteredModels:
    """A service of a test's own in a registry."""

    def __init__(self, registry: Address) -> None:
        self.registry = registry
        self.service = f"service-{uuid.uuid4().hex[:8]}"
        self.options = ("--registry", f"consul://{registry}", "--service", self.service)

    def add(self, model: str, version: str, count: int = 1) -> None:
        """Register workers, which nobody lives up to."""
        for _ in range(count):
            address = nobody()
            instance = Instance(f"{self.service}-{address.port}", address, model, version)
            self._agent(self.service).register(instance)

    def stored(self, model: str) -> tuple[bytes, int] | None:
        """The document of a model's plan in the registry, and its modify index."""
        answer = requests.get(self._url(plan_key(self.service, model)), timeout=_TIMEOUT_S)
        if answer.status_code == 404:
            return None
        (entry,) = answer.json()
        return base64.b64decode(entry["Value"]), entry["ModifyIndex"]

    def plan(self, model: str) -> Plan | None:
        """A model's plan in the registry."""
        stored = self.stored(model)
        return parse_plan(stored[0]) if stored is not None else None

    def write(self, model: str, plan: Plan | bytes | None) -> None:
        """Write a plan, whatever there is."""
        document = plan if isinstance(plan, bytes) else dump_plan(plan)
        self.put(plan_key(self.service, model), document)

    def put(self, key: str, document: bytes) -> None:
        """Write a key, whatever there is."""
        requests.put(self._url(key), data=document, timeout=_TIMEOUT_S).raise_for_status()

    @contextlib.contextmanager
    def proxy(self, shows: Callable[[str], Plan | None]) -> Iterator[Instance]:
        """A registered proxy whose `GET /models` shows these plans, by model."""

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                rows = [{"name": "flowers", "plan": plan_document(shows("flowers"))}]
                body = json.dumps({"models": rows}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            thread.start()
            address = Address("127.0.0.1", server.server_address[1])
            instance = Instance(f"{self.service}-proxy-{address.port}", address)
            agent = self._agent(proxies_of(self.service))
            agent.register(instance)
            try:
                yield instance
            finally:
                agent.deregister(instance)
                server.shutdown()
                thread.join()

    def _agent(self, service: str) -> ConsulAgent:
        return ConsulAgent(self.registry, service, ttl_s=600)

    def _url(self, key: str) -> str:
        return f"{self.registry.url}/v1/kv/{key}"
