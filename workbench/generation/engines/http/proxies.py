"""Proxies from the environment: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY."""

from __future__ import annotations

from importlib.util import find_spec
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from workbench.errors import UsageError
from workbench.workspace.settings.server_address import plain_url

if TYPE_CHECKING:
    import httpcore


def proxy_for(scheme: str, host: str) -> httpcore.Proxy | None:
    """Return the proxy for a server; None for this machine.

    Raises:
        UsageError: the proxy needs a package that is not installed, or is of an unknown kind.
    """
    if host == "localhost" or _is_loopback(host) or proxy_bypass(host):
        return None
    proxies = getproxies()
    address = proxies.get(scheme) or proxies.get("all")
    if not address:
        return None
    import httpcore  # noqa: PLC0415 -- 0.1 s

    address = address if "://" in address else f"http://{address}"
    parts = urlsplit(address)
    shown, variable = plain_url(address), f"{scheme.upper()}_PROXY" if proxies.get(scheme) else "ALL_PROXY"
    if parts.scheme not in {"http", "https", "socks5", "socks5h"} or not parts.hostname:
        raise UsageError(
            f"{variable}={shown}: an unknown kind of proxy", hint="http://HOST:PORT or socks5://HOST:PORT is expected"
        )
    if parts.scheme.startswith("socks5") and find_spec("socksio") is None:
        raise UsageError(
            f"{variable}={shown}: SOCKS proxies need the package socksio, which is not installed",
            hint=f"pip install socksio; or without the proxy: NO_PROXY={host}",
        )
    auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    return httpcore.Proxy(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", auth=auth)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
