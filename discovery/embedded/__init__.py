"""The embedded registry: one node, in memory, that speaks the part of Consul's HTTP API that a fleet uses.

What it is: enough of Consul 1.8 (https://developer.hashicorp.com/consul/api-docs) for `tfleet proxy` and
`tfleet worker` in two terminals to find each other with nothing installed. Services with checks (TTL
and plain HTTP), heartbeats, `DeregisterCriticalServiceAfter`, health and catalog with blocking queries. The
contract suite in `tests/discovery/contract/` runs against this and against a real Consul.

What it is not: no ACL, no cluster, no DNS, no KV, no TCP checks, no persistence. After a restart it is
empty, and the workers, who look every few seconds, register again by themselves. Whoever needs more starts a
real Consul and says `--registry consul://HOST:8500`; no code changes. It has one token for all, or
none: then keep it on loopback or on a network where everybody may register. Web pages are refused (guard.py).

Known differences, none of which the fleet depends on:

- agent and catalog are one: `/v1/catalog/deregister` is final (a real agent puts its services back within a
  minute), the agent is not itself in the catalog as the service `consul`, and a check's new output shows at
  once (a real agent is late to sync an output without a change of status);
- an HTTP check runs for the first time at once, not after a random part of its interval; it reaches only the
  machine that registered it, and follows no redirects;
- a service is removed when `DeregisterCriticalServiceAfter` (at least one minute) is over, not at the next of
  Consul's half-minute sweeps;
- the index starts at the time of the start, so that it also rises over a restart, and blocking queries carry
  no jitter;
- what it does not know it refuses with 400 and a sentence, where Consul would obey: `?filter=` but for
  `SELECTOR == VALUE` of a service's id, address and port and of a check's id, `?tag=`, `?node-meta=`, checks
  other than TTL and a plain HTTP GET, Connect, deregistering a whole node;
- `/v1/health/node` does not list the check of the node itself.
"""

from tfleet.discovery.embedded.limits import RegistryLimits
from tfleet.discovery.embedded.server import AGENT, make_registry

__all__ = ["AGENT", "RegistryLimits", "make_registry"]
