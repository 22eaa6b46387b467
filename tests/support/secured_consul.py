"""A Consul as it is run in production: ACLs that deny by default, and TLS. Its certificates are made here."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
import trustme

from tests.support.canned_server import nobody
from tests.support.consul_agent import consul_agent
from tfleet.contract.address import Address

MASTER = str(uuid.uuid4())
"""The token that may do anything."""

_SETTINGS = """
acl {{
  enabled = true
  default_policy = "deny"
  tokens {{ master = "{master}", agent = "{master}" }}
}}
ports {{ https = {https} }}
cert_file = "{folder}/server.pem"
key_file = "{folder}/server.key"
ca_file = "{folder}/ca.pem"
verify_incoming_https = {verify}
"""


@dataclass(frozen=True)
class SecuredConsul:
    """Where it answers, in the clear and by TLS, and the files that its clients need."""

    http: Address
    https: Address
    ca: trustme.CA
    folder: Path

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.pem"

    def show(self, leaf: trustme.LeafCert, *, wants_certificate: bool = False) -> None:
        """Have it show this certificate from here on."""
        write(leaf, self.folder, "server")
        _configure(self.folder, self.https.port, verify=wants_certificate)
        self._put("/v1/agent/reload")

    def token(self, rules: str) -> str:
        """A new token that may do what the rules say."""
        made: str = self._put("/v1/acl/token", {"Policies": [self._policy(rules)]})["SecretID"]
        return made

    def allow(self, token: str, rules: str) -> None:
        """Let a token do what the rules say, and nothing else, from now on."""
        url = f"{self.http.url}/v1/acl/token/self"
        own = requests.get(url, headers={"X-Consul-Token": token}, timeout=10).json()
        self._put(f"/v1/acl/token/{own['AccessorID']}", own | {"Policies": [self._policy(rules)]})

    def _policy(self, rules: str) -> dict[str, str]:
        name = uuid.uuid4().hex
        self._put("/v1/acl/policy", {"Name": name, "Rules": rules})
        return {"Name": name}

    def _put(self, path: str, body: object = None) -> dict[str, str]:
        answer = requests.put(self.http.url + path, json=body, headers={"X-Consul-Token": MASTER}, timeout=10)
        assert answer.ok, answer.text
        found: dict[str, str] = answer.json() if answer.text else {}
        return found


def write(leaf: trustme.LeafCert, folder: Path, name: str) -> tuple[Path, Path]:
    """The files of a certificate and its key."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    cert.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    key.write_bytes(leaf.private_key_pem.bytes())
    return cert, key


@contextmanager
def secured_consul(folder: Path) -> Iterator[SecuredConsul]:
    """One that shows a certificate for 127.0.0.1, made by a CA that nobody else knows."""
    ca, https = trustme.CA(), nobody()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    write(ca.issue_cert("127.0.0.1"), folder, "server")
    config = _configure(folder, https.port, verify=False)
    with consul_agent(config=config, token=MASTER) as agent:
        yield SecuredConsul(agent.address, https, ca, folder)


def _configure(folder: Path, https: int, *, verify: bool) -> Path:
    config = folder / "production.hcl"
    config.write_text(_SETTINGS.format(master=MASTER, https=https, folder=folder, verify=str(verify).lower()))
    return config
