"""Every call of the client, said once: what to ask, and what the answer is.

Generators of `steps`; nothing here opens a socket or knows whether it is waited for on a loop.
"""
