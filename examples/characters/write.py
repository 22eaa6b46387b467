"""Write text with the served model: ask for the next character, add it, ask again."""

import argparse
import random

from tfleet.client import FleetClient

READS = 200  # the last characters of a long text

parser = argparse.ArgumentParser()
parser.add_argument("text", help="how it begins")
parser.add_argument("--length", type=int, default=200, help="how many characters to add")
parser.add_argument("--proxy", default="http://localhost:12480")
options = parser.parse_args()

text = options.text
print(text, end="", flush=True)
with FleetClient(options.proxy) as fleet:
    for _ in range(options.length):
        answer = fleet.predict({"chars": [ord(char) for char in text[-READS:]]})
        # Powers make what is likely more likely; without them the text has more mistakes.
        weights = [probability**2 for probability in answer.outputs["next"]]
        char = chr(random.choices(range(len(weights)), weights)[0])  # noqa: S311 - no secret
        text += char
        print(char, end="", flush=True)
print()
