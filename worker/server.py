"""Starts a worker's parts in order, and stops them in order.

Stopping (SIGTERM, Ctrl-C, POST /drain) goes: stop being ready, deregister, wait until proxies and
clients have noticed, stop accepting, finish what is in flight, close the session. No request is rejected
before the fleet knows of the drain; after that, requests on kept connections are rejected.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from types import FrameType
from typing import Any

import structlog

from tfleet.contract.address import Address
from tfleet.contract.identifiers import as_label
from tfleet.discovery.consul.agent import ConsulAgent
from tfleet.discovery.consul.reachability_check import ConsulAddressCheck
from tfleet.discovery.instance import Instance, new_id
from tfleet.discovery.registration.advertise import advertised, advice, wan_advice
from tfleet.discovery.registration.heartbeat import TTL_S, Registration
from tfleet.discovery.registration.self_test import SelfTest, SelfTestTarget
from tfleet.discovery.registry import StaticRegistry
from tfleet.httpd.admission import Admission, ConnectionMetrics
from tfleet.httpd.drain import DrainTimes
from tfleet.httpd.listen import listen_errors
from tfleet.runtime.backoff import Backoff
from tfleet.worker.address.addresses import WorkerAddresses, why_untested
from tfleet.worker.api.app import WorkerIdentity, make_app
from tfleet.worker.api.classify import Classify
from tfleet.worker.api.direct_predict import DirectPredict
from tfleet.worker.api.input_budget import InputBudget
from tfleet.worker.api.middleware import refusals
from tfleet.worker.api.model_page import is_stateful
from tfleet.worker.api.model_routes import Predictions
from tfleet.worker.api.predict import Predict
from tfleet.worker.api.protocols.example_body import read_example
from tfleet.worker.api.protocols.limits import TIMES_BODY_BYTES, InputLimits
from tfleet.worker.api.signature_runs import SignatureRuns
from tfleet.worker.decoders import DecoderPool
from tfleet.worker.decoders.metrics import DecoderMetrics
from tfleet.worker.image.isolated_decode import COMMAND
from tfleet.worker.inference.batch_sizes import batch_sizes, request_threads
from tfleet.worker.inference.load import load_warm
from tfleet.worker.inference.loaded_model import LoadedModel
from tfleet.worker.jobs.worker_jobs import WorkerJobs
from tfleet.worker.lifecycle import Lifecycle, LifecycleState
from tfleet.worker.memory import MemoryTrimmer, use_one_heap
from tfleet.worker.metrics import BusySeconds, WorkerMetrics
from tfleet.worker.registration import WorkerRegistration
from tfleet.worker.registry_metrics import RegistrationMetrics
from tfleet.worker.settings import InferenceSettings, RegistrationSettings, WorkerSettings
from tfleet.worker.ticket_check import TicketCheck
from tfleet.worker.wsgi.server import CONNECTION_LIMITS, WsgiServer, limit_to_open_files

_POLL_INTERVAL_S = 0.5
_AGAIN_S = 0.05
_NO_ROUTE = Backoff(first_s=0.5, cap_s=10.0)
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignal:
    """Waits for SIGTERM, SIGINT or a failure. While the worker starts they end the process at once."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._asked = threading.Event()
        self._failed = False
        self._ending = False
        self._deferring = False
        self._lifecycle = lifecycle
        for signum in _SIGNALS:
            signal.signal(signum, self._on_signal)
        self._report_suppressed = sys.unraisablehook
        sys.unraisablehook = self._raise_anew

    def ask(self) -> None:
        """Ask the process to stop, as a signal does."""
        self._asked.set()

    def fail(self) -> None:
        """End the process with exit code 1. Any thread may call it."""
        self._failed = True
        os.kill(os.getpid(), signal.SIGTERM)  # interrupts the main thread wherever it waits

    def exit_if_failed(self) -> None:
        """Raise SystemExit after a failure."""
        if self._failed:
            sys.exit(1)

    def wait(self) -> None:
        """Return when the process is asked to stop; raise SystemExit after a failure.

        It polls twice a second: the kernel may deliver a signal to another thread, and then nothing wakes
        this one, in which Python runs the handlers.
        """
        while not self._asked.wait(_POLL_INTERVAL_S):
            pass
        self.exit_if_failed()

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Raise SystemExit at the end of the block for a signal that comes within it.

        A thread that is being started when the exception comes would not be known yet, and keep the process,
        or be known and not run yet, so that nothing could wait for its end.
        """
        self._deferring = True
        yield
        self._deferring = False
        if self._asked.is_set():
            self._ending = True
            sys.exit(int(self._failed))

    def finish_undisturbed(self) -> None:
        """Let no later signal raise SystemExit: it would leave threads behind, and these keep the process.

        A worker that is refused may get one just while it closes.
        """
        self._ending = True

    def end(self) -> None:
        """Ignore signals from now on, and raise SystemExit after a failure.

        A late signal must not kill the interpreter as it ends.
        """
        for signum in _SIGNALS:
            signal.signal(signum, signal.SIG_IGN)
        sys.unraisablehook = self._report_suppressed
        self.exit_if_failed()

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        # In any case: a library may catch the exception, and then the worker drains once it is ready.
        self._asked.set()
        if self._deferring or self._ending or self._lifecycle.state is not LifecycleState.STARTING:
            return
        self._ending = True
        sys.exit(int(self._failed))

    def _raise_anew(self, suppressed: sys.UnraisableHookArgs) -> None:
        """Send the signal again if its SystemExit came in a callback of the garbage collector, where Python
        suppresses it.
        """
        if suppressed.exc_type is not SystemExit or not self._ending:
            self._report_suppressed(suppressed)
            return
        self._ending = False
        # A little later: this is still within the callback.
        again = threading.Timer(_AGAIN_S, os.kill, (os.getpid(), signal.SIGTERM))
        again.daemon = True
        again.start()


def serve(settings: WorkerSettings) -> None:
    """Run until SIGTERM or SIGINT, then drain.

    Raises CannotListenError, AddressHeldError, NotPublishedError and ModelError: nothing was served. Raises
    SystemExit with code 1 after the HTTP server has failed.

    The port is open from the start: `/healthz` answers and `/readyz` says that the worker is starting. The
    address is tested while the model is loaded.
    """
    use_one_heap()
    lifecycle, metrics = Lifecycle(), WorkerMetrics()
    inference = settings.inference
    stop = StopSignal(lifecycle)
    server = _listen(settings)
    addresses = _addresses(settings.registration, server.address)
    instance = _identity(settings, addresses)
    log: Any = structlog.get_logger().bind(worker=instance.id)
    registration = _registration(
        settings.registration, instance, addresses, lifecycle, metrics, server.address
    )
    memory = MemoryTrimmer()
    decoders = DecoderPool(COMMAND, settings.decoding.pool_limits, log=log)
    metrics.include(DecoderMetrics(decoders))
    metrics.model.labels(instance.model, instance.version).set(1)
    predictions = _predictions(settings, instance, lifecycle, metrics, decoders, memory)
    identity, cors = WorkerIdentity(instance, addresses, lifecycle), settings.http.cors
    app = make_app(identity, predictions, metrics, stop.ask, cors)
    jobs = WorkerJobs(settings.jobs, settings.registration.service, instance, server, metrics)
    try:
        with stop.deferred():
            direct = DirectPredict(predictions, metrics, lambda: server.queue.waiting, cors)
            admission = server.start(app, instance.id, refusals(instance, metrics), cors, stop.fail, direct)
        _include_server(metrics, server, admission)
        log.info("worker starting", address=str(instance.address), model=instance.model_label)
        registration.begin()
        model = _load(inference, metrics, log)
        # Before any request is classified: a thread that starts later would find the queue already full.
        threads = inference.threads or request_threads(model.concurrent_runs, max(model.batch_sizes))
        with stop.deferred():
            server.use_threads(threads)
        lifecycle.loaded(model)
        registration.wait_admitted()
        lifecycle.ready(model)
        registration.join(str(model.facts.kind.value), stateful=is_stateful(model))
        log.info("worker ready", address=str(instance.address))
        jobs.start(stateful=is_stateful(model))
        stop.wait()
        log.info("worker draining", in_flight=server.busy, waiting=server.queue.waiting)
        _drain(settings.drain, lifecycle, server, registration, jobs)
    finally:
        stop.finish_undisturbed()
        registration.leave()  # no effect after a drain; a failed start has to deregister, too
        jobs.close(timeout_s=0)
        unfinished = server.close(settings.drain.timeout_s)
        decoders.close()
        memory.close()
    model.close()
    log.info("worker stopped", unfinished=unfinished)
    stop.end()


def _drain(
    times: DrainTimes,
    lifecycle: Lifecycle,
    server: WsgiServer,
    registration: WorkerRegistration,
    jobs: WorkerJobs,
) -> None:
    """Leave the fleet, and return when nobody sends requests any more."""
    lifecycle.drain()
    server.announce_drain()
    registration.leave()
    jobs.close(times.timeout_s)
    time.sleep(times.grace_s)
    lifecycle.refuse()


def _predictions(
    settings: WorkerSettings,
    instance: Instance,
    lifecycle: Lifecycle,
    metrics: WorkerMetrics,
    decoders: DecoderPool,
    memory: MemoryTrimmer,
) -> Predictions:
    classify = Classify(lifecycle, metrics, settings.decoding.image_limits, decoders=decoders, memory=memory)
    http = settings.http
    budget = InputBudget(TIMES_BODY_BYTES * http.queue_limits.max_bytes)
    limits = InputLimits.of(http.body_limits.max_bytes, budget.reserve)
    predict = Predict(SignatureRuns(lifecycle, metrics, limits, budget, memory))
    return Predictions(instance, lifecycle, classify, predict)


def _load(inference: InferenceSettings, metrics: WorkerMetrics, log: Any) -> LoadedModel:
    sizes = batch_sizes(inference.max_batch)
    return load_warm(inference.spec, inference.tuning, sizes, metrics, log, read_body=read_example)


def _include_server(metrics: WorkerMetrics, server: WsgiServer, admission: Admission) -> None:
    metrics.in_flight.set_function(lambda: server.busy)
    metrics.queue_requests.set_function(lambda: server.queue.waiting)
    metrics.queue_bytes.set_function(lambda: server.queue.waiting_bytes)
    metrics.include(BusySeconds(lambda: server.queue.busy_s))
    metrics.include(
        ConnectionMetrics(
            admission, connections="tfleet_worker_connections", refused="tfleet_worker_refused_connections"
        )
    )


def _listen(settings: WorkerSettings) -> WsgiServer:
    http, inference = settings.http, settings.inference
    check = None
    if http.ticket_keys is not None:
        check = TicketCheck(http.ticket_keys, settings.registration.service, as_label(inference.spec.name))
    with listen_errors(Address(http.host, http.port), "--host and --port"):
        return WsgiServer(
            host=http.host,
            port=http.port,
            threads=inference.threads or inference.max_batch,
            body_limits=http.body_limits,
            queue_limits=http.queue_limits,
            connection_limits=limit_to_open_files(CONNECTION_LIMITS),
            check_ticket=check,
            once_a_second=None if check is None else check.refresh,
        )


def _addresses(settings: RegistrationSettings, listening: Address) -> WorkerAddresses:
    """This worker's addresses; retries until the machine has a route to the registry. Raises
    NotPublishedError.
    """
    registry = settings.registry
    towards = None if isinstance(registry, StaticRegistry) else registry.address
    find = partial(advertised, listening, settings.advertise, towards)
    rng = random.Random()  # noqa: S311 - spreads load, keeps no secret
    for failures in itertools.count(1):
        try:
            return WorkerAddresses(find, settings.find_wan, listening.port)
        except OSError as error:
            log: Any = structlog.get_logger()
            why = error.strerror or str(error)
            log.warning("no route to the registry yet, retrying", registry=str(registry), error=why)
            time.sleep(_NO_ROUTE.delay_s(failures, rng))
    raise AssertionError("unreachable")


def _identity(settings: WorkerSettings, addresses: WorkerAddresses) -> Instance:
    address, spec = addresses.address, settings.inference.spec
    # A folder may have any name. In a header and in the registry it has to be plain text.
    model, version = as_label(spec.name), as_label(spec.version)
    return Instance(new_id(settings.registration.service, address), address, model, version, addresses.wan)


def _registration(
    settings: RegistrationSettings,
    instance: Instance,
    addresses: WorkerAddresses,
    lifecycle: Lifecycle,
    metrics: WorkerMetrics,
    listening: Address,
) -> WorkerRegistration:
    """The worker's registration, not begun yet; with a static list it does nothing."""
    if isinstance(settings.registry, StaticRegistry):
        return WorkerRegistration()
    registry = settings.registry.address
    access = settings.registry.access
    agent = ConsulAgent(registry, settings.service, ttl_s=TTL_S, access=access)
    registration = Registration(agent, instance, locate=addresses)
    metrics.include(RegistrationMetrics(registration))
    if not settings.self_test:
        return WorkerRegistration(registration)
    check = ConsulAddressCheck(registry, settings.service, access)
    hint = advice(listening)
    test = SelfTest(check, instance, SelfTestTarget(hint), on_problem=lifecycle.held_up, locate=addresses)
    wan_test = _wan_test(check, instance, addresses, registry)
    if wan_test is not None:
        addresses.may_register_wan = lambda: wan_test.passed
    return WorkerRegistration(registration, test, wan_test)


def _wan_test(
    check: ConsulAddressCheck, instance: Instance, addresses: WorkerAddresses, registry: Address
) -> SelfTest | None:
    """The self-test of the WAN address; None if there is none, or if it cannot be tested."""
    if instance.wan is None:
        return None
    if why := why_untested(instance.wan, registry):
        log: Any = structlog.get_logger().bind(worker=instance.id)
        log.info("the address is not tested", kind="wan", address=str(instance.wan), why=why)
        return None

    def outside(instance: Instance) -> Instance:
        return replace(instance, address=addresses.wan or instance.address)

    hint = wan_advice(instance.address)
    return SelfTest(check, outside(instance), SelfTestTarget(hint, "wan", required=False), locate=outside)
