"""Put this folder on PYTHONPATH, and every Python process notes in the file COLORLIB_CONNECTIONS names what it asks of the network, and is refused all but
loopback.

Python imports it by itself before anything else. An audit hook cannot be taken away again, and sees what C code asks through Python's sockets, too.
"""
import ipaddress
import os
import sys

LOG = os.environ.get("COLORLIB_CONNECTIONS")
LOCAL = {"localhost", "", "0.0.0.0", "::", None, os.uname().nodename if hasattr(os, "uname") else ""}


def is_local(host):
    """Whether a host is this machine; names are not looked up, since that asks the network."""
    host = host.decode(errors="replace") if isinstance(host, bytes) else host
    try:
        return host in LOCAL or ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None      # a path: a socket on this machine
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return
    if not is_local(host):
        with open(LOG, "a") as log:
            log.write(f"{event} {host} by process {os.getpid()}: {' '.join(sys.argv)[:200]}\n")
        raise PermissionError(f"{event}: {host} is not this machine, and nobody asked for the network.")


if LOG:
    sys.addaudithook(watch)
