"""Which of a model's operations TensorFlow does not have, by a list that comes with tfleet.

The list is of one version of TensorFlow, and its builds differ a little; only loading a model says for
certain what is missing. So this is shown and never refuses a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

LIST: Final = Path(__file__).with_name("registered_ops.txt")

# The beginnings of the names of operations that other packages register.
_PACKAGES: Final = (
    (
        (
            *(
                "Sentencepiece",
                "RaggedSentencepiece",
                "SentencepieceOp",
                "WordpieceTokenize",
                "FastWordpiece",
            ),
            *(
                "FastBertNormalize",
                "FastSentencepiece",
                "CaseFoldUTF8",
                "NormalizeUTF8",
                "Mst",
                "RegexSplitWith",
            ),
            *(
                "SentenceFragments",
                "SplitFromLogits",
                "SplitMergeFromLogits",
                "TokenizerFromLogits",
                "TFText>",
            ),
            *(
                "UnicodeScriptTokenize",
                "WhitespaceTokenize",
                "StateBasedSentence",
                "RougeL",
                "NgramsStringJoin",
            ),
            *(
                "ByteSplit",
                "Utf8Binarize",
                "PhraseTokenize",
                "TrimmerRoundRobin",
                "BoiseTags",
                "OffsetsToBoise",
            ),
        ),
        "tensorflow-text",
    ),
    (("SimpleML", "YggdrasilDecisionForests"), "tensorflow-decision-forests"),
    (("Addons>",), "tensorflow-addons"),
    (("IO>",), "tensorflow-io"),
    (("TFRecommenders", "Scann>"), "scann"),
)


@dataclass(frozen=True, slots=True)
class OpList:
    """The operations of one version of TensorFlow."""

    version: str
    names: frozenset[str]


@cache
def registered_ops() -> OpList:
    """The list that comes with tfleet. Its first line says `# TensorFlow VERSION, ...`."""
    first, *names = LIST.read_text(encoding="ascii").split("\n")
    return OpList(first.split()[2].rstrip(","), frozenset(names) - {""})


def missing_ops(used: Iterable[str]) -> tuple[str, ...]:
    """Those of the operations that the list does not have, sorted."""
    return tuple(sorted(set(used) - registered_ops().names))


def package_of(operation: str) -> str | None:
    """The package that registers the operation, where it is known."""
    return next((package for names, package in _PACKAGES if operation.startswith(names)), None)


def describe_missing(operation: str) -> str:
    """The operation, with the package it is from: `SentencepieceOp (tensorflow-text)`."""
    package = package_of(operation)
    return operation if package is None else f"{operation} ({package})"
