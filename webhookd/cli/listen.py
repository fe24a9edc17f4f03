"""`webhookd listen`: a receiver on this machine that verifies and shows what arrives."""

import asyncio
import itertools
import json
import signal
import time
from typing import Annotated, Any, Final

import typer
from cachetools import LRUCache
from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.text import Text

from webhookd.cli.receiver import Hit, Reaction, Receiver, bind, receiving

app = typer.Typer(add_completion=False)

_SHOWN_CHARS: Final = 200
_SHOWN_LINES: Final = 100
_SHOWN_IDS: Final = 10_000


@app.command()
def listen(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")] = 9000,
    secret: Annotated[
        list[str] | None, typer.Option(help="whsec_… to verify with; may be given again, as in a rotation.")
    ] = None,
    fail_first: Annotated[
        int, typer.Option(min=0, help="Answer the first N requests with 500, or --status if that is no 2xx.")
    ] = 0,
    status: Annotated[int, typer.Option(min=200, max=599, help="Answer with this status.")] = 200,
    delay: Annotated[float, typer.Option(min=0, help="Seconds to wait before each answer.")] = 0.0,
) -> None:
    """Receive webhooks, verify them with the official Standard Webhooks library, and show them.

    Without --secret nothing can be verified. What does not verify is answered with 400.
    """
    failing = status if status >= 300 else 500
    usual = 200 if fail_first and status >= 300 else status
    receiver = Receiver(
        secrets=secret or (),
        reply=Reaction(status=usual, delay_seconds=delay),
        first=itertools.repeat(Reaction(status=failing, delay_seconds=delay), fail_first),
    )
    asyncio.run(_until_stopped(receiver, host, port))


async def _until_stopped(receiver: Receiver, host: str, port: int) -> None:
    stopped = asyncio.Event()
    display = Display(Console())

    def show(hit: Hit) -> None:
        try:
            display.show(hit)
        except BrokenPipeError:  # nobody reads it any more
            stopped.set()

    receiver.on_hit = show
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    with bind(host, port) as listener:
        async with receiving(receiver, listener) as url:
            print(f"Listening on {url}", flush=True)
            await stopped.wait()


class Display:
    """One block for each webhook. Remembers ids, to tell whether a repeated one brings the same bytes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bodies: LRUCache[str, int] = LRUCache(_SHOWN_IDS)

    def show(self, hit: Hit) -> None:
        """Print the block."""
        say = self._console.print
        document = _document(hit.body)
        event = document.get("type", "") if isinstance(document, dict) else ""
        at = time.strftime("%H:%M:%S", time.localtime(hit.at))
        told = (_verdict(hit), "  ", (_printable(str(event)), "bold"), f"  {at}  answered {hit.status}")
        say(Text.assemble(*told), soft_wrap=True)
        for name, value in self._facts(hit):
            say(Text(f"  {name:<9} {_printable(value)}"), soft_wrap=True)
        if document is None:
            text = hit.body[:_SHOWN_CHARS].decode(errors="replace")
            say(Text(f"  {len(hit.body):,} bytes, not JSON: {_printable(text)}"), soft_wrap=True)
        else:
            say(_pretty(document), soft_wrap=True)
        say()

    def _facts(self, hit: Hit) -> list[tuple[str, str]]:
        headers = hit.headers
        trace = headers.get("traceparent", "").split("-")
        facts = [("id", hit.webhook_id + self._seen_before(hit))]
        facts += [("attempt", headers["webhook-attempt"])] if "webhook-attempt" in headers else []
        facts += [("trace", trace[1])] if len(trace) > 1 else []
        facts += [("path", hit.path)] if hit.path != "/" else []
        return facts

    def _seen_before(self, hit: Hit) -> str:
        if not hit.webhook_id:
            return "none"
        before, now = self._bodies.get(hit.webhook_id), hash(hit.body)
        self._bodies[hit.webhook_id] = now
        if before is None:
            return ""
        return "  (again, the same bytes)" if before == now else "  (again, but OTHER bytes)"


def _verdict(hit: Hit) -> Text:
    if hit.problem is None:
        return Text("? not verified: no --secret", "yellow")
    if hit.problem:
        return Text(f"✗ does not verify: {_printable(hit.problem)}", "bold red")
    return Text("✓ verified", "bold green")


def _document(body: bytes) -> Any:
    """Return the JSON with its long texts cut, or None where it is none, or nested too deeply to show."""
    try:
        return _shortened(json.loads(body))
    except (ValueError, RecursionError):
        return None


def _pretty(document: Any) -> Text:
    lines = json.dumps(document, indent=2, ensure_ascii=False).splitlines()
    if len(lines) > _SHOWN_LINES:
        lines = [*lines[:_SHOWN_LINES], f"… {len(lines) - _SHOWN_LINES} more lines"]
    return JSONHighlighter()("\n".join(f"  {_printable(line)}" for line in lines))


def _shortened(value: Any) -> Any:
    match value:
        case dict():
            return {key: _shortened(one) for key, one in value.items()}
        case list():
            return [_shortened(one) for one in value]
        case str() if len(value) > _SHOWN_CHARS:
            return f"{value[:60]}… ({len(value):,} characters)"
        case _:
            return value


def _printable(text: str) -> str:
    """Make what a stranger sent harmless for a terminal."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
