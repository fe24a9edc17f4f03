"""The only rooms that know concretes: settings in, running parts out.

`process` builds what every process has, `api` and `worker` the rest of theirs; a worker imports nothing of
the API, and starts a third faster for it.
"""
