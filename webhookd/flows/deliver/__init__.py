"""Delivering: the `engine` claims, sends and records; `signer` makes the heads, `attempt` judges answers."""

from webhookd.flows.deliver.engine import DeliveryEngine

__all__ = ["DeliveryEngine"]
