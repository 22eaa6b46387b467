"""Ask the served model what is expected in fleets' logs, and name the sessions that have something else."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from tfleet.client import FleetClient, FleetError

SHOWN = 2  # findings of a session

parser = argparse.ArgumentParser()
parser.add_argument("--sessions", type=Path, default=Path(__file__).with_name("sessions.json"))
parser.add_argument("--run", type=int, action="append", help="only sessions of this fleet; repeatable")
parser.add_argument(
    "--model", type=Path, default=Path("models", "log_anomaly"), help="as train.py has written it"
)
parser.add_argument("--proxy", default="http://localhost:12480")
options = parser.parse_args()

recorded = json.loads(options.sessions.read_text())
if not options.model.with_suffix(".json").is_file():
    parser.error(f"{options.model} has no model: run train.py first")
labels = (options.model / "1" / "labels.txt").read_text().splitlines()
rule = json.loads(options.model.with_suffix(".json").read_text())


def findings(fleet: FleetClient, keys: list[str]) -> Iterator[str]:
    """What is not as usual in a session."""
    yield from (f"{key} is unknown" for key in dict.fromkeys(keys) if key not in labels)
    events = [key for key in keys if key in labels]
    numbers = [0] * rule["length"] + [labels.index(key) for key in events]
    rows = ({"window": numbers[place : place + rule["length"]]} for place in range(len(events)))
    for place, answer in enumerate(fleet.predict_rows(rows, top=rule["g"])):
        if events[place] not in [prediction.label for prediction in answer.predictions]:
            yield f"{events[place]} is not expected, after {events[place - 1] if place else 'the beginning'}"


try:
    with FleetClient(options.proxy) as fleet:
        for session in recorded["sessions"]:
            if options.run and session["run"] not in options.run:
                continue
            found = list(findings(fleet, [recorded["keys"][key] for key in session["keys"]]))
            more = f"; {len(found) - SHOWN} more" if found[SHOWN:] else ""
            print(
                f"fleet {session['run']}, {session['action']}: {'; '.join(found[:SHOWN]) or 'as usual'}{more}"
            )
except FleetError as error:
    sys.exit(f"{options.proxy} does not answer as the model of train.py: {error}")
