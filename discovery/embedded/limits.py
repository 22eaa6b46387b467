"""The limits of the embedded registry."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CatalogLimits:
    """What one registry holds, and what one registration may say.

    The limits of metadata, of deregistration times and of a check's output are Consul's
    (https://developer.hashicorp.com/consul/docs/services/configuration/services-configuration-reference
    and https://developer.hashicorp.com/consul/docs/services/configuration/checks-configuration-reference).
    """

    services: int = 20_000
    checks_per_service: int = 16
    name_chars: int = 256
    """The longest name of a service, and the longest id of a service or check."""

    output_bytes: int = 4096
    min_deregister_after_s: float = 60.0


@dataclass(frozen=True, slots=True)
class HttpCheckLimits:
    """How many HTTP checks there may be, and how many requests the registry sends for them at a time."""

    checks: int = 1_000
    at_once: int = 64
    """Concurrent lookups and requests; others wait, within their time-outs."""

    lookups_at_once: int = 4
    """Concurrent name lookups with the system's resolver; IP addresses need none."""

    min_interval_s: float = 1.0
    """The shortest interval of an HTTP check; a shorter one is raised to this, as in Consul."""


@dataclass(frozen=True, slots=True)
class KeyValueLimits:
    """How much the key-value store holds. One value has at most the bytes of a request's body.

    A plan has some hundred bytes, and there is one for each model.
    """

    keys: int = 4_096
    key_chars: int = 1_024
    total_bytes: int = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RegistryHttpLimits:
    """How many requests may wait, and how large and slow the body of one may be."""

    blocking_queries: int = 1_000
    """Blocking queries at a time; the next one gets a 503, after which clients retry."""

    gone_check_s: float = 5.0
    """How soon a disconnected client of a blocking query is noticed."""

    body_bytes: int = 64 * 1024
    body_timeout_s: float = 10.0


@dataclass(frozen=True, slots=True)
class RegistryLimits:
    """All limits of the registry. A request beyond one is rejected with a text that names it."""

    catalog: CatalogLimits = CatalogLimits()
    http_checks: HttpCheckLimits = HttpCheckLimits()
    key_values: KeyValueLimits = KeyValueLimits()
    http: RegistryHttpLimits = RegistryHttpLimits()
