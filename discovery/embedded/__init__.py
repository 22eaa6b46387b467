"""The embedded registry: one node with the part of Consul's HTTP API that a fleet uses.

It implements enough of Consul 1.8 (https://developer.hashicorp.com/consul/api-docs) for `tfleet proxy` and
`tfleet worker` in two terminals to find each other with nothing else installed: services with checks (TTL
and plain HTTP), heartbeats, `DeregisterCriticalServiceAfter`, health and catalog with blocking queries, keys
and values with check-and-set. The suite in `tests/discovery/consul_api/` runs against it and against a real
Consul.

Services are in memory: after a restart the workers register again by themselves within seconds. Keys and
values, which nobody would write again, are saved to a file (key_value_file.py). It has no ACLs, no cluster,
no DNS, no sessions and no TCP checks. For more, start a Consul and use `--registry consul://HOST:8500`. It
has one token for all requests, or none: without a token use it only on loopback or on a network where
everybody may register. Requests of web pages are rejected (access.py).

Known differences, none of which the fleet depends on:

- Agent and catalog are one: `/v1/catalog/deregister` is final (a real agent registers its services again
  within a minute), the agent is not in the catalog as the service `consul`, and a check's new output is
  visible at once (a real agent delays outputs without a change of status).
- An HTTP check runs for the first time at once, not after a random part of its interval. It reaches only
  the machine that registered it, and follows no redirects.
- A service is removed exactly after `DeregisterCriticalServiceAfter` (at least one minute), not at the
  next of Consul's half-minute sweeps.
- The index starts at the start time, so that it also rises over a restart, and blocking queries have no
  jitter.
- Unsupported parameters are rejected with 400 and a sentence, where Consul would obey them: `?filter=`
  except `SELECTOR == VALUE` of a service's id, address and port and of a check's id, `?tag=`,
  `?node-meta=`, checks other than TTL and a plain HTTP GET, Connect, deregistering a whole node.
- `/v1/health/node` does not list the check of the node itself.
"""

from tfleet.discovery.embedded.key_value_file import KeyValueFileError
from tfleet.discovery.embedded.limits import RegistryLimits
from tfleet.discovery.embedded.server import AGENT, make_registry, save_keys

__all__ = ["AGENT", "KeyValueFileError", "RegistryLimits", "make_registry", "save_keys"]
