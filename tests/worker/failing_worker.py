"""A `tfleet worker` whose HTTP server fails as soon as its ticket key file is gone."""

import sys
from dataclasses import replace
from pathlib import Path

from tfleet.contract.ticket import TicketKeys
from tfleet.contract.ticket_keys import KeyFile
from tfleet.runtime import log
from tfleet.worker import cli
from tfleet.worker.server import serve


class FailingKeyFile(KeyFile):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._file = path

    def current(self) -> TicketKeys:
        if not self._file.exists():
            raise RuntimeError("a mistake of ours")
        return super().current()


def main(key_file: str, options: list[str]) -> None:
    params = cli.worker.make_context("worker", options).params
    log.configure(params.pop("log_format"), level=params.pop("log_level"))
    settings = cli._settings(params)
    http = replace(settings.http, ticket_keys=FailingKeyFile(Path(key_file)))
    serve(replace(settings, http=http))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
