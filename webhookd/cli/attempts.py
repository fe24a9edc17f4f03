"""An attempt on the screen: when, what came back, where the time went, and a line that repeats it."""

from typing import Any, Final

from rich.text import Text

from webhookd.cli.screen import console, duration, printable, when

_PARTS: Final = {"dns": "dns_ms", "connect": "connect_ms", "tls": "tls_ms", "first byte": "first_byte_ms"}
_SHOWN_CHARS: Final = 300


def print_attempt(attempt: dict[str, Any]) -> None:
    """Print an attempt of an `attempts_log`."""
    status, parts = attempt["status"], attempt["parts"]
    fine = attempt["error"] is None
    timing = ", ".join(
        f"{name} {duration(parts[field])}" for name, field in _PARTS.items() if parts[field] is not None
    )
    lines = [
        Text.assemble(
            "\n",
            (f"attempt {attempt['number']}", "bold"),
            f"  {when(attempt['at'])}  ",
            (printable(str(status or attempt["error"])), "green" if fine else "red"),
            f"  {duration(attempt['duration_ms'])}",
            (f"  ({timing})" if timing else "", "dim"),
        )
    ]
    if attempt["resent"]:
        lines.append(Text("  sent twice: the receiver had closed a kept connection", "dim"))
    if status is not None and attempt["error"]:
        lines.append(Text(f"  {printable(attempt['error'])}", "red"))
    if attempt["response"] is not None and attempt["response"]["body"]:
        body = attempt["response"]["body"]
        cut = "…" if len(body) > _SHOWN_CHARS else ""
        lines.append(Text(f"  {printable(body[:_SHOWN_CHARS])}{cut}", "dim"))
    lines.append(Text(f"  {printable(attempt['curl'])}"))
    out = console()
    for line in lines:
        out.print(line, soft_wrap=True)
