"""Clients that other people's generators make from our description, as an integrator makes them."""
