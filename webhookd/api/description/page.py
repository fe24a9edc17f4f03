"""The OpenAPI document as a page for people: plain HTML, one style, no scripts, nothing from elsewhere."""

import base64
import hashlib
import json
from collections.abc import Iterator
from html import escape
from typing import Any, Final

Json = dict[str, Any]

_STYLE: Final = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881;--accent:#0969da}
@media(prefers-color-scheme:dark){:root{--accent:#6cb6ff}}
*{box-sizing:border-box}
body{margin:0;font:16px/1.55 system-ui,sans-serif;display:grid;grid-template-columns:17rem minmax(0,1fr)}
nav{position:sticky;top:0;height:100vh;overflow:auto;padding:1.5rem 1rem;border-right:1px solid var(--line)}
nav ul{list-style:none;margin:0 0 1rem;padding:0;font-size:.875rem}
nav h2{font-size:.8rem;margin:.8rem 0 .2rem}
main{padding:1.5rem 2.5rem 6rem;max-width:58rem}
a{color:var(--accent);text-decoration:none}a:hover{text-decoration:underline}
code,pre{font:.85em/1.5 ui-monospace,monospace}
pre{background:var(--soft);padding:.8rem;overflow:auto;border-radius:6px}
article{border-top:1px solid var(--line);padding:1.2rem 0}h1{margin-top:0}h3{margin:.2rem 0}
.method{font-weight:700;display:inline-block;min-width:3.6rem}
table{border-collapse:collapse;width:100%;font-size:.9rem}
td,th{text-align:left;vertical-align:top;padding:.3rem .8rem .3rem 0;border-bottom:1px solid var(--line)}
summary{cursor:pointer;color:var(--accent)}
@media(max-width:50rem){body{display:block}nav{position:static;height:auto;border:0}main{padding:1rem}
p,h3{overflow-wrap:anywhere}table{display:block;overflow:auto}}
"""

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    + "'"
)


def page(document: Json) -> str:
    """Return the page of an OpenAPI document made by `openapi`."""
    return "".join(_Page(document).parts())


class _Page:
    def __init__(self, document: Json) -> None:
        self._document = document
        self._schemas: Json = document["components"]["schemas"]
        self._calls = [
            (method.upper(), path, operation)
            for path, item in document["paths"].items()
            for method, operation in item.items()
        ]

    def parts(self) -> Iterator[str]:
        info = self._document["info"]
        title = f"{info['title']} {info['version']}"
        yield (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{escape(title)}: API</title><style>{_STYLE}</style></head><body><nav>"
        )
        yield from self._contents()
        yield f"</nav><main><h1>{escape(title)}</h1>"
        for paragraph in info["description"].split("\n\n"):
            yield f"<p>{_text(paragraph)}</p>"
        yield '<p>For programs: <a href="openapi.json">/openapi.json</a> (OpenAPI 3.1).</p>'
        for tag in self._document["tags"]:
            yield f"<h2>{escape(tag['name'])}</h2><p>{_text(tag['description'])}</p>"
            for method, path, operation in self._of_tag(tag["name"]):
                yield from self._call(method, path, operation)
        yield '<h2 id="webhooks">Webhooks</h2><p>What your receiver gets.</p>'
        for event, item in self._document["webhooks"].items():
            yield from self._call("POST", event, item["post"])
        yield '<h2 id="schemas">Schemas</h2>'
        for name, schema in self._schemas.items():
            yield from self._schema(name, schema)
        yield "</main></body></html>"

    def _contents(self) -> Iterator[str]:
        for tag in self._document["tags"]:
            yield f"<h2>{escape(tag['name'])}</h2><ul>"
            for _, _, operation in self._of_tag(tag["name"]):
                yield f'<li><a href="#{operation["operationId"]}">{_text(operation["summary"])}</a></li>'
            yield "</ul>"
        yield '<h2><a href="#webhooks">Webhooks</a></h2><h2><a href="#schemas">Schemas</a></h2>'

    def _of_tag(self, tag: str) -> list[tuple[str, str, Json]]:
        return [call for call in self._calls if tag in call[2]["tags"]]

    def _call(self, method: str, path: str, operation: Json) -> Iterator[str]:
        yield (
            f'<article id="{escape(operation["operationId"])}"><h3>{_text(operation["summary"])}</h3>'
            f'<p><span class="method">{method}</span> <code>{escape(path)}</code></p>'
            f"<p>{_text(operation['description'])}</p>"
        )
        yield from self._parameters(operation["parameters"])
        for content in operation.get("requestBody", {}).get("content", {}).values():
            yield f"<h4>Body</h4><p>{self._type(content['schema'])}</p>"
            yield self._example(content)
        yield "<h4>Answers</h4><table>"
        for status, response in operation["responses"].items():
            told = self._resolved(response)
            kinds = (self._type(content["schema"]) for content in told.get("content", {}).values())
            yield (
                f"<tr><td><code>{escape(status)}</code></td><td>{_text(told['description'])}</td>"
                f"<td>{' '.join(kinds)}</td></tr>"
            )
        yield "</table></article>"

    def _parameters(self, parameters: list[Json]) -> Iterator[str]:
        if not parameters:
            return
        yield "<h4>Parameters</h4><table>"
        for parameter in map(self._resolved, parameters):
            needed = ", required" if parameter.get("required") else ""
            yield (
                f"<tr><td><code>{escape(parameter['name'])}</code></td>"
                f"<td>{escape(parameter['in'])}{needed}</td><td>{self._type(parameter['schema'])}</td>"
                f"<td>{_text(parameter.get('description', ''))}</td></tr>"
            )
        yield "</table>"

    def _schema(self, name: str, schema: Json) -> Iterator[str]:
        yield (
            f'<article id="schema-{escape(name)}"><h3>{escape(name)}</h3>'
            f"<p>{_text(schema.get('description', ''))}</p>"
        )
        required = schema.get("required", ())
        if "properties" in schema:
            yield "<table>"
            for field, kind in schema["properties"].items():
                always = "" if field in required else "optional"
                yield (
                    f"<tr><td><code>{escape(field)}</code></td><td>{self._type(kind)}</td>"
                    f"<td>{always}</td></tr>"
                )
            yield "</table>"
        else:
            yield f"<p>{self._type(schema)}</p>"
        yield self._example({"schema": schema})
        yield "</article>"

    def _example(self, content: Json) -> str:
        examples = self._resolved(content["schema"]).get("examples", [])
        example = content.get("example", examples[0] if examples else None)
        if example is None:
            return ""
        text = json.dumps(example, indent=2, ensure_ascii=False)
        return f"<details><summary>Example</summary><pre>{escape(text)}</pre></details>"

    def _resolved(self, part: Json) -> Json:
        if "$ref" not in part:
            return part
        found: Json = self._document
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return found

    def _type(self, schema: Json) -> str:
        """Return a schema in a few words, with a link where it has a name."""
        if "$ref" in schema:
            name = escape(schema["$ref"].rsplit("/", 1)[1])
            return f'<a href="#schema-{name}">{name}</a>'
        for key in ("anyOf", "oneOf"):
            if key in schema:
                return " or ".join(self._type(one) for one in schema[key])
        if "enum" in schema or "const" in schema:
            values = schema.get("enum", [schema.get("const")])
            return " | ".join(f"<code>{escape(json.dumps(value))}</code>" for value in values)
        if schema.get("type") == "array":
            return f"array of {self._type(schema.get('items', {}))}"
        return escape(schema.get("format") or schema.get("type") or "any")


def _text(text: str) -> str:
    """Escape, and show `code` as code."""
    pieces = escape(text, quote=False).split("`")
    return "".join(f"<code>{piece}</code>" if index % 2 else piece for index, piece in enumerate(pieces))
