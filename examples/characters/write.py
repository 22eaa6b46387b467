"""Write text with the served model: ask for the next character, choose one, add it, ask again."""

import argparse
import random
import sys

from tfleet.client import FleetClient, FleetError

LENGTH = 64  # characters of a row, as in train.py

parser = argparse.ArgumentParser()
parser.add_argument("text", help="how it begins, in ASCII")
parser.add_argument("--length", type=int, default=200, help="how many characters to add")
parser.add_argument(
    "--temperature",
    type=float,
    default=0.5,
    help="0: always the likeliest; 1: as the model says; above: wilder",
)
parser.add_argument("--seed", type=int, help="choose the same characters each time")
parser.add_argument("--proxy", default="http://localhost:12480")
options = parser.parse_args()
if not options.text.isascii() or options.temperature < 0:
    parser.error("give a text in ASCII, and a temperature of 0 or more")
chance = random.Random(options.seed)  # noqa: S311 - no secret


def choose(probabilities: list[float]) -> int:
    """A code by chance; what is likely is the likelier, the lower the temperature is."""
    best = max(probabilities)
    if options.temperature == 0:
        return probabilities.index(best)
    # Divided by the best, since 1e-9 to the power of 100 would be 0, and all weights might be.
    weights = [(probability / best) ** (1 / options.temperature) for probability in probabilities]
    return chance.choices(range(len(weights)), weights)[0]


text = options.text
print(text, end="", flush=True)
try:
    with FleetClient(options.proxy) as fleet:
        for _ in range(options.length):
            codes = [ord(char) for char in text[-LENGTH:]]
            answer = fleet.predict({"chars": [0] * (LENGTH - len(codes)) + codes})
            text += chr(choose(answer.outputs["next"]))
            print(text[-1], end="", flush=True)
except FleetError as error:
    sys.exit(f"\n{options.proxy} does not answer as the model of train.py: {error}")
print()
