"""Train a network that says which event comes next in a fleet's log, and find faults by it.

Reads the sessions that record.py has written. Trains on normal ones, chooses by others how unlikely an
event may be (the top g), and tests with a third part of them, and with sessions with faults. Writes
models/log_anomaly/1, which a worker serves, and g, models/log_anomaly.json.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

MODELS = Path("models")
LENGTH = 48  # an event is judged by as many events before it
Session = tuple[str, ...]
Numbers = npt.NDArray[np.int32]
Alarms = npt.NDArray[np.bool_]

parser = argparse.ArgumentParser()
parser.add_argument("--sessions", type=Path, default=Path(__file__).with_name("sessions.json"))
parser.add_argument("--epochs", type=int, default=14)
options = parser.parse_args()
keras.utils.set_random_seed(1)

recorded = json.loads(options.sessions.read_text())
normal: dict[Session, int] = {}  # the run of each; sessions with the same events in the same order are one
faults: dict[Session, str] = {}
for found in recorded["sessions"]:
    keys = tuple(recorded["keys"][key] for key in found["keys"])
    if found["fault"]:
        faults.setdefault(keys, found["action"])
    else:
        normal.setdefault(keys, found["run"])
runs = sorted(set(normal.values()))
first, second = runs[len(runs) * 3 // 5], runs[len(runs) * 4 // 5]
train = [session for session, run in normal.items() if run < first]
validation = [session for session, run in normal.items() if first <= run < second]
test = [session for session, run in normal.items() if run >= second]
known = sorted({key for session in train for key in session})
number = {key: 1 + place for place, key in enumerate(known)}  # 0 stands before the first event


def windows(session: Session) -> tuple[Numbers, Numbers]:
    """What came before each known event of a session, and the event; unknown ones are left out."""
    padded = np.array([0] * LENGTH + [number[key] for key in session if key in number], np.int32)
    return np.lib.stride_tricks.sliding_window_view(padded, LENGTH)[:-1], padded[LENGTH:]


def joined(sessions: list[Session]) -> tuple[Numbers, Numbers]:
    before, event = zip(*map(windows, sessions), strict=True)
    return np.concatenate(before), np.concatenate(event)


window = keras.Input((LENGTH,), dtype="int32", name="window")
state = layers.LSTM(64)(layers.Embedding(len(known) + 1, 16)(window))
likely = layers.Dense(len(known) + 1, activation="softmax")(layers.Dropout(0.2)(state))
model = keras.Model(window, likely)
model.compile(keras.optimizers.Adam(0.004), "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(*joined(train), validation_data=joined(validation), batch_size=64, epochs=options.epochs, verbose=2)

# The baselines. Of events that never followed, those come first that are frequent otherwise.
before, event = joined(train)
majority = np.bincount(event, minlength=len(known) + 1) / len(event)
bigrams = np.tile(majority / 100, (len(known) + 1, 1))
np.add.at(bigrams, (before[:, -1], event), 1)
trigrams = np.tile(bigrams / len(event), (len(known) + 1, 1, 1))
np.add.at(trigrams, (before[:, -2], before[:, -1], event), 1)
rankers: dict[str, Callable[[Numbers], npt.NDArray[np.float64]]] = {
    "LSTM": lambda before: model.predict(before, batch_size=256, verbose=0),
    "trigrams": lambda before: trigrams[before[:, -2], before[:, -1]],
    "bigrams": lambda before: bigrams[before[:, -1]],
    "majority": lambda before: np.tile(majority, (len(before), 1)),
}


def worst(name: str, sessions: list[Session]) -> Numbers:
    """For each session the rank of the event that was expected least; 1 is the likeliest."""
    before, event = joined(sessions)
    scores = rankers[name](before)
    ranks = 1 + (scores > scores[range(len(event)), event][:, None]).sum(1)
    ends = np.cumsum([len(windows(session)[1]) for session in sessions])
    return np.array([part.max(initial=1) for part in np.split(ranks, ends[:-1])])


def report(name: str, on_normal: Alarms, on_faults: Alarms) -> None:
    false, true = int(on_normal.sum()), int(on_faults.sum())
    precision, recall = true / max(true + false, 1), true / len(faults)
    score = 2 * precision * recall / max(precision + recall, 1e-9)
    print(f"{name}: precision {precision:.2f}, recall {recall:.2f}, F1 {score:.2f}, false alarms {false}")


print(f"sessions: train {len(train)}, validate {len(validation)}, test {len(test)}, faults {len(faults)}")
unknown = tuple(np.array([not number.keys() >= set(keys) for keys in part]) for part in (test, faults))
limits, beyond = {}, {}
for name in rankers:
    # The least g by which at most one in twenty normal sessions gives an alarm.
    limits[name] = int(np.quantile(worst(name, validation), 0.95, method="higher"))
    beyond[name] = tuple(worst(name, list(part)) > limits[name] for part in (test, faults))
    report(f"{name}, g {limits[name]}, without unknown keys", *beyond[name])
    report(f"{name}, g {limits[name]}, with them", *map(np.logical_or, beyond[name], unknown))
beyond["unknown keys"] = unknown
for action in dict.fromkeys(faults.values()):
    of = np.array([kind == action for kind in faults.values()])
    found = ", ".join(f"{name} {(alarms & of).sum()}" for name, (_, alarms) in beyond.items())
    print(f"{action}, {of.sum()}: {found}")

folder = MODELS / "log_anomaly" / "1"
# A dict names the output; otherwise its name in the signature would be output_0.
keras.Model(window, {"next": likely}).export(folder, verbose=False)
(folder / "labels.txt").write_text("\n".join(["(start)", *known]) + "\n")
(MODELS / "log_anomaly.json").write_text(json.dumps({"g": limits["LSTM"], "length": LENGTH}) + "\n")
