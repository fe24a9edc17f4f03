"""What went wrong with an attempt: aiohttp's faults as httpx exceptions, and those as a partner's codes.

Whose fault it was is decided here. Through an egress proxy that is not always plain: a proxy we cannot
reach, or that answers CONNECT with nonsense, is ours (`proxy`, no attempt used up); a proxy that says
it could not reach the receiver speaks of the receiver, or a dead endpoint would be retried for ever.
"""

import errno
import ssl
from typing import Final

import aiohttp
import httpx

from webhookd.adapters.sender.guard import AddressBlocked, Dialling
from webhookd.adapters.sender.stopwatch import Stopwatch
from webhookd.core.reply import ErrorCode


class Blocked(httpx.ConnectError):
    """The address rules forbid it."""


class LookupFailed(httpx.ConnectError):
    """The name does not resolve."""


class TlsFailed(httpx.ConnectError):
    """No trusted TLS connection; `code` says in which way."""

    def __init__(self, code: ErrorCode) -> None:
        super().__init__(code)
        self.code = code


class AnswerFailed(httpx.RemoteProtocolError):
    """The request was written, or about to be, and no answer that holds came back; `code` says why."""

    def __init__(self, code: ErrorCode) -> None:
        super().__init__(code)
        self.code = code


_CODES: Final[tuple[tuple[type[httpx.TransportError], ErrorCode], ...]] = (
    (Blocked, "blocked"),
    (LookupFailed, "dns"),
    (httpx.ConnectError, "connect"),
    (httpx.ProxyError, "proxy"),
    (httpx.TimeoutException, "timeout"),
    (httpx.TransportError, "protocol"),
)

# What OpenSSL says of a certificate (x509_vfy.h, X509_V_ERR_…).
_TLS_CODES: Final[dict[int, ErrorCode]] = {
    9: "tls_expired",  # not yet valid
    10: "tls_expired",
    18: "tls_self_signed",
    2: "tls_unknown_ca",
    19: "tls_unknown_ca",  # the chain ends in a root that is not trusted
    20: "tls_unknown_ca",
    21: "tls_unknown_ca",
    62: "tls_name",
    64: "tls_name",  # the host is an address
}

# How proxies answer CONNECT: their own access rules, and the receiver's failings (RFC 9110 section 15.6).
_PROXY_REFUSALS: Final = frozenset({403})
_PROXY_COULD_NOT_CONNECT: Final = frozenset({502, 503, 504})

# This machine is out of something; the receiver was not even asked.
_OUR_ERRNOS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN})


def code_of(fault: httpx.TransportError) -> ErrorCode:
    """Return the code a partner is told."""
    if isinstance(fault, TlsFailed | AnswerFailed):
        return fault.code
    return next(code for kind, code in _CODES if isinstance(fault, kind))


def dialling_fault(
    fault: aiohttp.ClientError | OSError, *, wanted: Dialling, tls: bool, stopwatch: Stopwatch
) -> Exception:
    """Return the exception to raise for a connection that did not come about.

    `tls` says the receiver was to be spoken to over TLS. An `OSError` comes back as it is when this
    machine is at fault (out of sockets, memory or threads).
    """
    cause = getattr(fault, "os_error", fault)
    if isinstance(cause, AddressBlocked):
        return Blocked("blocked")
    if isinstance(cause, OSError) and cause.errno in _OUR_ERRNOS:
        return cause
    if wanted.exempt and stopwatch.wires < 2:
        return _proxy_fault(fault)
    if isinstance(fault, aiohttp.ClientConnectorDNSError):
        return LookupFailed("dns")
    if tls and stopwatch.wires and not stopwatch.secured_ns:
        return TlsFailed(_tls_code(fault))
    return httpx.ConnectError("connect")


def _tls_code(fault: Exception) -> ErrorCode:
    cause = getattr(fault, "certificate_error", None) or getattr(fault, "os_error", fault)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _TLS_CODES.get(cause.verify_code, "tls_other")
    return "tls_other"


def _proxy_fault(fault: Exception) -> httpx.TransportError:
    status = fault.status if isinstance(fault, aiohttp.ClientHttpProxyError) else None
    if status in _PROXY_REFUSALS:
        return Blocked("blocked by the proxy")
    if status in _PROXY_COULD_NOT_CONNECT:
        return httpx.ConnectError("the proxy could not connect")
    return httpx.ProxyError("proxy")
