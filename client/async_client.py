"""The asynchronous client, for programs that use asyncio."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tfleet.client import worker_status
from tfleet.client.body import HeldBody
from tfleet.client.concurrency.iterate import items_on_demand
from tfleet.client.concurrency.ordered_map import in_order
from tfleet.client.errors import (
    BadImageError,
    FleetError,
    RejectedInputError,
    UnexpectedAnswerError,
)
from tfleet.client.fleet_calls import FleetCalls, check_at_least_1
from tfleet.client.http import responses
from tfleet.client.images.image import Source, source_name
from tfleet.client.model_document import REDIRECTS, default_model, document_path, follow, read_model_document
from tfleet.client.results import Classification, ImageVector, ModelAnswer, Outcome, RowResult, VectorOutcome
from tfleet.client.routes.call import Call
from tfleet.client.rows import (
    ARROW,
    Row,
    RowBatch,
    RowsForm,
    batches,
    chosen_form,
    in_row_order,
    json_body,
    of_batch,
    rows_of_answer,
    rows_of_stream,
)
from tfleet.contract.names import MODELS_PATH

if TYPE_CHECKING:
    from tfleet.client.http.transport import HttpResponse
    from tfleet.client.worker_status import WorkerList, WorkerStatus

S = TypeVar("S", bound=Source)

_OK: Final = 200

DEFAULT_CONCURRENCY: Final = 8
DEFAULT_BATCH_ROWS: Final = 1024
DEFAULT_BATCH_CONCURRENCY: Final = 4
NPY: Final = "application/x-npy"


class AsyncFleetClient(FleetCalls):
    """Asks one fleet for predictions. It belongs to the event loop that first uses it.

    `proxy` is `host:port` or a URL; several of them, in a list or separated by commas; or
    `consul://host:port` for proxies that are registered there (`consul://host:port/name` if the fleet's name
    is not `tfleet`). Several proxies are used in turn; if one does not answer, the call goes to the next one.

    With `p2p` images go directly to the workers, and a proxy is only asked for their addresses from time to
    time; `balance` is how images are balanced among them. If no worker can be reached, images go through a
    proxy if it forwards, and the logger `tfleet.client` warns once.

    `timeout_s` limits a whole call, with reading, lookups and retries; `connect_timeout_s` limits connecting.
    After `try_timeout_s` without progress another worker is tried (with `p2p`), or another proxy if there is
    one. `top` is the number of predictions; None for the fleet's default. At most `max_connections` are open
    at a time; further calls wait for one, within their timeout.

    Calls are for the fleet's default model, or for the `model` that is named, whatever others the fleet has;
    with `version`, or the `label` of one, only workers of this version answer. `model` of a result says which
    one answered, as `name/version`.

    Raises BadProxyError, a ValueError, for an invalid `proxy`, and ValueError for a number out of range, an
    unknown `balance` or names that can't be.
    """

    async def classify(self, image: Source, *, top: int | None = None) -> Classification:
        """Classify one image: a path, an http URL, its bytes, a file open for reading in binary mode, an
        image of PIL's, or pixels in an array of NumPy's (uint8 [height, width] or [height, width, channels]).

        `top` overrides the client's. Raises BadImageError, which names the source, BusyError,
        FleetUnavailableError, WorkerFailedError, DeadlineExceededError or UnexpectedAnswerError, all of them
        FleetError; TypeError for a source of another type.
        """
        try:
            return await self._classify(image, top)
        except BadImageError as error:
            raise _named(image, error) from error

    async def _classify(self, image: Source, top: int | None) -> Classification:
        """Like `classify`, but a BadImageError does not name the source."""
        check_at_least_1("top", top)
        call = self._call(top=self._top if top is None else top)
        reply = await self._send(self._load(image), call)
        return responses.classification(
            reply,
            request_id=call.request_id,
            elapsed_ms=self._elapsed_ms(call),
            failed_attempts=len(call.attempts),
        )

    async def embed(self, image: Source) -> ImageVector:
        """The vector of one image, by a model that has an embedding. `image` and errors are those of
        `classify`; a model without an embedding is an UnexpectedAnswerError that says so.
        """
        try:
            return await self._embed(image)
        except BadImageError as error:
            raise _named(image, error) from error

    async def vector_outcome(self, source: S) -> VectorOutcome[S]:
        """Like embed, with the FleetError in the outcome, beside its source, instead of raised."""
        try:
            return VectorOutcome(source, await self._embed(source))
        except FleetError as error:
            return VectorOutcome(source, error=error)

    async def _embed(self, image: Source) -> ImageVector:
        """Like `embed`, but a BadImageError does not name the source."""
        call = self._call(accept=NPY, embeds=True)
        reply = await self._send(self._load(image), call)
        return responses.image_vector(
            reply,
            request_id=call.request_id,
            elapsed_ms=self._elapsed_ms(call),
            failed_attempts=len(call.attempts),
        )

    def embed_many(
        self, sources: Iterable[S] | AsyncIterable[S], *, concurrency: int = DEFAULT_CONCURRENCY
    ) -> AsyncGenerator[VectorOutcome[S], None]:
        """The vectors of many images, `concurrency` at a time; see `classify_many`, whose rules it has."""
        _check_many("embed_many", sources, concurrency)
        return in_order(items_on_demand(sources), self.vector_outcome, concurrency=concurrency)

    async def predict(
        self,
        inputs: Row | Sequence[Row],
        *,
        signature: str | None = None,
        top: int | None = None,
        idempotent: bool | None = None,
    ) -> ModelAnswer:
        """Ask a model that takes no images: one row, `{"G1": 1, "G2": 0}`, several rows in a list, columns,
        or whole tensors by the names of the inputs. Values may be of NumPy's types.

        `signature` is one of the model's; None for its default. `top` is the number of labels, for a model
        that has some. If the model is stateful, as the fleet says, a request is not sent again once a worker
        may have received it; `idempotent` True or False says it instead. Raises RejectedInputError for inputs
        that the model does not take, and otherwise as `classify` does.
        """
        check_at_least_1("top", top)
        call = self._call(top=top, signature=signature, idempotent=idempotent)
        reply = await self._send(json_body(inputs), call)
        return self._answer(reply, call)

    def predict_rows(
        self,
        rows: Iterable[Any],
        *,
        form: RowsForm | None = None,
        batch_rows: int = DEFAULT_BATCH_ROWS,
        concurrency: int = DEFAULT_BATCH_CONCURRENCY,
        signature: str | None = None,
        top: int | None = None,
        idempotent: bool | None = None,
    ) -> AsyncGenerator[RowResult, None]:
        """Ask a model for many rows, up to `batch_rows` in a request and `concurrency` requests at a time;
        yield the result of each row, in their order.

        `rows` are an iterable of rows, which may be endless and may block, or a table, a record batch or a
        reader of pyarrow's. `form` is how they are sent and answered, "json" or "arrow"; by default Arrow for
        rows of pyarrow's. An Arrow answer has a model's outputs, also where it has labels. `signature` and
        `top` are those of `predict`. Rows whose lists have different lengths go into different requests. With
        `idempotent=False` (see there) one request follows the other, and no row is sent before an earlier
        one, as a stateful model whose rows have an order needs.

        Raises as `predict` does, after the results of the rows before; a RejectedInputError names the rows.
        A caller that stops early must close the generator (`contextlib.aclosing`).
        """
        check_at_least_1("batch_rows", batch_rows)
        check_at_least_1("concurrency", concurrency)
        check_at_least_1("top", top)
        chosen = chosen_form(rows, form)

        async def do(batch: RowBatch) -> tuple[RowBatch, list[RowResult]]:
            accept = ARROW if chosen == "arrow" else ""
            call = self._call(top=top, signature=signature, accept=accept, idempotent=idempotent)
            try:
                reply = await self._send(batch.body, call)
                return batch, self._rows(reply, call, batch)
            except RejectedInputError as error:
                raise of_batch(batch, error) from error

        ordered = idempotent is False
        requests = items_on_demand(batches(rows, chosen, batch_rows, keep_order=ordered))
        return in_row_order(in_order(requests, do, concurrency=1 if ordered else concurrency))

    def _rows(self, reply: HttpResponse, call: Call, batch: RowBatch) -> list[RowResult]:
        if call.accept == ARROW and reply.status == _OK:
            found = rows_of_stream(reply.body, batch.count)
        else:
            found = rows_of_answer(self._answer(reply, call), batch.count)
        if found is None:
            raise UnexpectedAnswerError(
                f"{reply.url}: the answer has not one value of each output for each of {batch.count} rows",
                status=reply.status,
                request_id=call.request_id,
            )
        return found

    def _answer(self, reply: HttpResponse, call: Call) -> ModelAnswer:
        return responses.model_answer(
            reply,
            request_id=call.request_id,
            elapsed_ms=self._elapsed_ms(call),
            failed_attempts=len(call.attempts),
        )

    async def outcome(self, source: S, *, top: int | None = None) -> Outcome[S]:
        """Like classify, with the FleetError in the outcome, beside its source, instead of raised."""
        try:
            return Outcome(source, classification=await self._classify(source, top))
        except FleetError as error:
            return Outcome(source, error=error)

    def classify_many(
        self,
        sources: Iterable[S] | AsyncIterable[S],
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        top: int | None = None,
    ) -> AsyncGenerator[Outcome[S], None]:
        """Classify many images, `concurrency` at a time; yield their outcomes in the order of the sources.

        A failure is an outcome; the other images are still classified. Sources are read as needed, at most 4
        x `concurrency` ahead of the yielded outcomes, so they may be endless. An iterable that is not a
        collection is iterated in its own thread, because it may block. An error that `sources` raises is
        raised here after the outcomes of the sources before it. A caller that stops early must close the
        generator (`contextlib.aclosing`).
        """
        _check_many("classify_many", sources, concurrency)
        check_at_least_1("top", top)

        async def do(source: S) -> Outcome[S]:
            return await self.outcome(source, top=top)

        return in_order(items_on_demand(sources), do, concurrency=concurrency)

    async def workers(self) -> tuple[WorkerStatus, ...]:
        """The workers that the proxy knows, or one of several. Raises FleetError as classify does."""
        return worker_status.worker_statuses(await self.workers_document())

    async def workers_document(self) -> dict[str, Any]:
        """The proxy's JSON document of its workers, with all its fields. Raises as `workers` does."""
        reply, call = await self._get(worker_status.PATH)
        return worker_status.workers_document(reply, request_id=call.request_id)

    async def worker_list(self) -> WorkerList:
        """The workers, and the ticket that they need to accept commands. Raises as `workers` does."""
        reply, call = await self._get(worker_status.PATH)
        return worker_status.read_worker_list(reply, request_id=call.request_id)

    async def worker_metrics(self, worker_id: str) -> str:
        """A worker's metrics in Prometheus' text format, fetched by the proxy. Raises as `workers` does."""
        reply, call = await self._get(worker_status.metrics_path(worker_id))
        return worker_status.metrics_page(reply, request_id=call.request_id)

    async def model_document(self) -> dict[str, Any]:
        """What a worker says of the model: its signatures, columns and labels. Raises FleetError."""
        name = self._model.model
        if name is None:
            reply, call = await self._get(MODELS_PATH)
            name = default_model(reply, call.request_id)
        reply, call = await self._get(document_path(name, self._model))
        if reply.status in REDIRECTS:  # a proxy in p2p mode
            reply = await follow(self._transport, reply, call.request_id)
        return read_model_document(reply, call.request_id)

    async def predict_arrow(self, stream: bytes, *, signature: str | None = None) -> bytes:
        """Ask a model for the rows of an Arrow stream. Returns an Arrow stream with its outputs for each.

        `signature` is one of the model's; None for its default. Raises as `predict` does.
        """
        call = self._call(accept=ARROW, signature=signature)
        reply = await self._send(HeldBody(ARROW, stream), call)
        if reply.status != _OK:
            self._answer(reply, call)  # raises what the status means
        return reply.body

    async def predict_arrow_labels(self, stream: bytes, top: int) -> ModelAnswer:
        """The same of a model with labels: the `top` best ones of each row. Raises as `predict` does."""
        call = self._call(top=top)
        return self._answer(await self._send(HeldBody(ARROW, stream), call), call)


def _named(image: Source, error: BadImageError) -> BadImageError:
    """The error, with the name of its image."""
    return BadImageError(f"{source_name(image)}: {error}", status=error.status, request_id=error.request_id)


def _check_many(method: str, sources: object, concurrency: int) -> None:
    if isinstance(sources, str | bytes | bytearray | memoryview):
        raise TypeError(f"{method} takes many sources: put a single one into a list")
    check_at_least_1("concurrency", concurrency)
