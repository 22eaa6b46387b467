"""An OpenAPI document as tests use it: is it valid, and does an answer keep to it?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import requests
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

_AT: Final = "urn:document"
_TEMPLATE: Final = re.compile(r"\\\{[^/]+?\\\}")


class OpenApiDocument:
    """A document, and what it says of requests and answers."""

    def __init__(self, document: Any) -> None:
        self.content = document
        resource: Resource[Any] = DRAFT202012.create_resource(document)
        self._registry: Registry[Any] = Registry().with_resource(_AT, resource)

    @classmethod
    def of(cls, server: str) -> OpenApiDocument:
        """The document of a worker or proxy at this URL."""
        answer = requests.get(f"{server}/openapi.json", timeout=20)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"].partition(";")[0] == "application/json"
        return cls(answer.json())

    def check(self) -> None:
        """Fail unless the public validator accepts the document."""
        errors = [f"{error.json_path}: {error.message[:200]}" for error in _errors(self.content)]
        assert not errors, errors[:5]

    @property
    def operations(self) -> set[tuple[str, str]]:
        """Every method with its path."""
        return {(method.upper(), path) for path, item in self.content["paths"].items() for method in item}

    def operation(self, method: str, path: str) -> Any:
        """What the document says of a request. Fails for one that it does not know."""
        paths = self.content["paths"]
        item: dict[str, Any] = paths.get(path) or next(
            (paths[each] for each in paths if _fits(each, path)), {}
        )
        assert method.lower() in item, f"{method} {path} is not documented"
        return item[method.lower()]

    def check_answer(self, method: str, path: str, answer: requests.Response) -> None:
        """Fail unless status, type and content of an answer are as the document says."""
        kind = answer.headers.get("Content-Type", "")
        self.check_content(method, path, answer.status_code, kind, answer.content)

    def check_content(self, method: str, path: str, code: int, media_type: str, content: bytes) -> None:
        """The same for the parts of an answer."""
        where = f"{method} {path}: {code}"
        responses = self.operation(method, path)["responses"]
        status = str(code)
        named = next((each for each in (status, f"{status[0]}XX") if each in responses), None)
        assert named is not None, f"{where} is not documented"
        contents = self.resolved(responses[named]).get("content", {})
        kind = media_type.partition(";")[0]
        assert kind in contents or not (contents or content), f"{where} is {kind!r}"
        if kind == "text/plain":
            return
        if kind.endswith("json"):
            said = self.faults(contents[kind]["schema"], json.loads(content))
            assert not said, f"{where}: {said}: {content[:500]!r}"

    def resolved(self, value: Any) -> Any:
        """The component that a reference stands for; any other value as it is."""
        while "$ref" in value:
            found = self.content
            for part in value["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            value = found
        return value

    def faults(self, schema: Any, value: Any) -> list[str]:
        """Why a value does not fit a schema of the document."""
        # Beside the document, so that its references are found.
        text = json.dumps(schema).replace('"$ref": "#/', f'"$ref": "{_AT}#/')
        found = Draft202012Validator(json.loads(text), registry=self._registry)
        return [f"{error.json_path}: {error.message[:200]}" for error in found.iter_errors(value)]

    def check_examples(self, server: str) -> set[str]:
        """Send every example to a server, and return their paths.

        Fails unless each fits its schema, and is answered with 200 and as the document says.
        """
        seen = set()
        for method, path, kind, schema, value in self.examples():
            assert self.faults(schema, value) == [], (path, value)
            sent = value if kind == "text/csv" else json.dumps(value)
            answer = requests.request(
                method, server + path, data=sent, headers={"Content-Type": kind}, timeout=60
            )
            assert answer.status_code == 200, (path, value, answer.text)
            self.check_answer(method, path, answer)
            seen.add(path)
        return seen

    def examples(self) -> Iterator[tuple[str, str, str, Any, Any]]:
        """Method, path, media type, schema and value of every example of a request."""
        for method, path in sorted(self.operations):
            asked = self.operation(method, path).get("requestBody")
            for kind, found in ({} if asked is None else self.resolved(asked)["content"]).items():
                for example in found.get("examples", {}).values():
                    yield method, path, kind, found["schema"], example["value"]


def _errors(document: Any) -> Iterator[Any]:
    yield from OpenAPIV31SpecValidator(document).iter_errors()


def _fits(template: str, path: str) -> bool:
    return "{" in template and re.fullmatch(_TEMPLATE.sub("[^/]+", re.escape(template)), path) is not None
