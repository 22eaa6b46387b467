"""Parsing the body of `/v1/agent/service/register`.

The fields: https://developer.hashicorp.com/consul/api-docs/agent/service#register-service. Error texts are
those of Consul 1.8.7. Unsupported fields are accepted if they are empty, because some clients send all
fields.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Iterator, Mapping
from typing import Final

from tfleet.discovery.embedded.errors import RefusedRequestError
from tfleet.discovery.embedded.go_json import Document
from tfleet.discovery.embedded.limits import RegistryLimits
from tfleet.discovery.embedded.model import (
    CheckDefinition,
    HttpProbe,
    Service,
    ServiceDefinition,
    TaggedAddress,
    Weights,
    is_status,
)

_UNSUPPORTED: Final = frozenset({"kind", "proxy", "connect", "socketpath", "locality", "partition"})
# Token and namespace are accepted and ignored: there is only one of each.
_SERVICE: Final = _UNSUPPORTED | frozenset(
    [
        "id",
        "name",
        "address",
        "port",
        "tags",
        "meta",
        "taggedaddresses",
        "weights",
        "enabletagoverride",
        "check",
        "checks",
        "token",
        "namespace",
    ]
)
_CHECK: Final = frozenset(
    [
        "checkid",
        "name",
        "notes",
        "status",
        "ttl",
        "http",
        "interval",
        "timeout",
        "deregistercriticalserviceafter",
    ]
)
_OTHER_CHECKS: Final = frozenset(
    [
        "aliasnode",
        "aliasservice",
        "args",
        "scriptargs",
        "dockercontainerid",
        "shell",
        "grpc",
        "grpcusetls",
        "method",
        "header",
        "body",
        "tcp",
        "outputmaxsize",
        "tlsskipverify",
        "tlsservername",
        "successbeforepassing",
        "failuresbeforecritical",
        "serviceid",
        "id",
    ]
)

_META_KEY = re.compile(r"[A-Za-z0-9_-]+")
_META_PAIRS, _META_KEY_CHARS, _META_VALUE_CHARS = 64, 128, 512
_MAX_WEIGHT = 65535
_DEFAULT_TIMEOUT_S = 10.0  # Consul's, of an HTTP check


def parse_registration(body: bytes, limits: RegistryLimits, *, registrant: str) -> ServiceDefinition:
    """Parse and check the body of a registration. Raises RefusedRequestError with the text for the client.

    `registrant` is the address that it came from.
    """
    document = Document.parse(body, _SERVICE)
    name = document.text("name")
    if not name:
        raise RefusedRequestError("Missing service name")
    for field in _UNSUPPORTED:
        if document.has(field):
            raise RefusedRequestError(f"{field!r} is not supported by the embedded registry")
    service_id = document.text("id") or name
    _bound("service name", name, limits)
    _bound("service ID", service_id, limits)
    meta = document.text_mapping("meta")
    _check_meta(meta)
    address, port = document.text("address").strip(), document.whole("port")
    if address in {"0.0.0.0", "::", "[::]"}:  # noqa: S104 - it is refused, not bound
        raise RefusedRequestError("Invalid service address")
    service = Service(
        service_id,
        name,
        address,
        port,
        document.texts("tags"),
        meta,
        _default_tagged_addresses(address, port) | _tagged_addresses(document),
        _weights(document),
        document.flag("enabletagoverride"),
    )
    return ServiceDefinition(service, tuple(_checks(document, service, limits, registrant)))


def _bound(what: str, text: str, limits: RegistryLimits) -> None:
    if len(text) > limits.catalog.name_chars:
        raise RefusedRequestError(f"Invalid {what}: longer than {limits.catalog.name_chars} characters")


def _check_meta(meta: Mapping[str, str]) -> None:
    if len(meta) > _META_PAIRS:
        # "Node" is what Consul says for services, too.
        raise RefusedRequestError(
            f"Invalid Service Meta: Node metadata cannot contain more than {_META_PAIRS} key/value pairs"
        )
    for key, value in meta.items():
        if wrong := _wrong_pair(key, value):
            raise RefusedRequestError(
                f"Invalid Service Meta: Couldn't load metadata pair ('{key}', '{value}'): {wrong}"
            )


def _wrong_pair(key: str, value: str) -> str:
    if not key:
        return "Key cannot be blank"
    if not _META_KEY.fullmatch(key):
        return "Key contains invalid characters"
    if len(key) > _META_KEY_CHARS:
        return f"Key is too long (limit: {_META_KEY_CHARS} characters)"
    if key.startswith("consul-"):
        return "Key prefix 'consul-' is reserved for internal use"
    if len(value) > _META_VALUE_CHARS:
        return f"Value is too long (limit: {_META_VALUE_CHARS} characters)"
    return ""


def _default_tagged_addresses(address: str, port: int) -> dict[str, TaggedAddress]:
    """What Consul adds to a service whose address is an IP address."""
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        return {}
    own = TaggedAddress(address, port)
    return {f"lan_ipv{version}": own, f"wan_ipv{version}": own}


def _tagged_addresses(document: Document) -> dict[str, TaggedAddress]:
    tagged = {}
    for tag, value in document.mapping("taggedaddresses").items():
        fields = Document(value, ("address", "port"), where="a tagged address")
        tagged[tag] = TaggedAddress(fields.text("address"), fields.whole("port"))
    return tagged


def _weights(document: Document) -> Weights:
    if document.raw("weights") is None:
        return Weights()
    fields = Document(document.raw("weights"), ("passing", "warning"), where="weights")
    passing, warning = fields.whole("passing"), fields.whole("warning")
    if passing < 1:
        raise RefusedRequestError("Invalid Weights: Passing must be greater than 0")
    if warning < 0:
        raise RefusedRequestError("Invalid Weights: Warning must be greater or equal than 0")
    if passing > _MAX_WEIGHT or warning > _MAX_WEIGHT:
        raise RefusedRequestError(f"Invalid Weights: Passing and Warning must be at most {_MAX_WEIGHT}")
    return Weights(passing, warning)


def _checks(
    document: Document, service: Service, limits: RegistryLimits, registrant: str
) -> Iterator[CheckDefinition]:
    fields = [_check_fields(value) for value in document.items("checks")]
    single = _check_fields(document.raw("check"))
    # Consul ignores an empty `check`, but rejects an empty entry of `checks`.
    if any(single.has(field) for field in _CHECK | _OTHER_CHECKS):
        fields.insert(0, single)
    for number, check in enumerate(fields, start=1):
        suffix = f":{number}" if len(fields) > 1 else ""
        yield _check(check, service, f"service:{service.id}{suffix}", limits, registrant)


def _check_fields(value: object) -> Document:
    return Document(value, _CHECK | _OTHER_CHECKS, where="a check")


def _check(
    fields: Document, service: Service, default_id: str, limits: RegistryLimits, registrant: str
) -> CheckDefinition:
    if any(map(fields.has, _OTHER_CHECKS)):
        raise RefusedRequestError("Invalid check: the embedded registry has TTL and plain HTTP checks only")
    probe = _http_probe(fields, limits, registrant) if fields.has("http") else None
    ttl_s = fields.seconds("ttl")
    if ttl_s <= 0 and probe is None:
        raise RefusedRequestError("Invalid check: TTL must be > 0 for TTL checks")
    status = fields.text("status") or "critical"
    if not is_status(status):
        raise RefusedRequestError("Status for checks must 'passing', 'warning', 'critical'")
    check_id = fields.text("checkid") or default_id
    _bound("check ID", fields.text("checkid"), limits)
    after_s = fields.seconds("deregistercriticalserviceafter")
    return CheckDefinition(
        check_id,
        fields.text("name") or f"Service '{service.name}' check",
        math.inf if probe else ttl_s,
        status,
        fields.text("notes"),
        max(after_s, limits.catalog.min_deregister_after_s) if after_s > 0 else 0.0,
        probe,
    )


def _http_probe(fields: Document, limits: RegistryLimits, registrant: str) -> HttpProbe:
    interval_s, timeout_s = fields.seconds("interval"), fields.seconds("timeout")
    if interval_s <= 0:
        raise RefusedRequestError("Invalid check: Interval must be > 0 for Script, HTTP, or TCP checks")
    if fields.has("ttl"):
        raise RefusedRequestError("Invalid check: the embedded registry takes either TTL or HTTP, not both")
    return HttpProbe(
        fields.text("http"),
        max(interval_s, limits.http_checks.min_interval_s),
        timeout_s if timeout_s > 0 else _DEFAULT_TIMEOUT_S,
        registrant,
    )
