"""Processes that may ask no network for anything, and load nothing that fetches or trains."""

# Of any Python: the first look for another machine ends it; at its end, `loaded()` is empty.
GUARD = """
import os, sys
ASKS = ("connect", "connect_ex", "sendto", "sendmsg", "getaddrinfo", "gethostbyname", "bind")
UNUSED = ("torch", "requests", "urllib3", "urllib.request", "http.client", "ftplib", "ssl")
def refuse(event, arguments):
    if event in [f"socket.{name}" for name in ASKS]:
        os.write(2, f"{event} {arguments[-1]}".encode())
        os._exit(99)
sys.addaudithook(refuse)
def loaded():
    return [name for name in UNUSED if name in sys.modules]
"""
AT_EXIT = "\nimport atexit\natexit.register(lambda: [os.write(2, n.encode()) for n in loaded()])\n"
