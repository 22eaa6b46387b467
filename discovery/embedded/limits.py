"""How much the registry takes before it says no."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RegistryLimits:
    """Every bound of the registry. What is beyond one is refused with a text that names it.

    The metadata bounds and the least deregistration time are Consul's own, as is the size of a check's output
    (https://developer.hashicorp.com/consul/docs/services/configuration/services-configuration-reference and
    https://developer.hashicorp.com/consul/docs/services/configuration/checks-configuration-reference).
    """

    services: int = 20_000
    checks_per_service: int = 16
    http_checks: int = 1_000
    http_checks_at_once: int = 64
    """Look-ups and requests that are under way; the others wait for their turn, within their time-out."""

    lookups_at_once: int = 4
    """Names of HTTP checks that the system's resolver is asked for; an address needs no look-up."""

    blocking_queries: int = 1_000
    """Held at the same time; the next one is answered with 503, which clients take as "try again later"."""

    gone_check_s: float = 5.0
    """A client that went away in a blocking query is noticed after this, and not after its five minutes."""

    body_bytes: int = 64 * 1024
    body_timeout_s: float = 10.0
    name_chars: int = 256
    """Of a service's name and of the ids of services and checks."""

    output_bytes: int = 4096
    min_deregister_after_s: float = 60.0
    min_interval_s: float = 1.0
    """Of HTTP checks: a shorter one is made that long, as Consul does."""
