"""The description of the API, for programs (`/openapi.json`) and for people (`/docs`).

Made from the rows, the wire models and the documents, so nothing is said twice: what a field means stands
below it (`sentences`), what it looks like is its type (`schemas`), and an example is a sample record as the
API renders it (`examples`).
"""
