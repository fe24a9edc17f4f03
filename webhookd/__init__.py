"""webhookd: run partners' long tasks and deliver the results as signed webhooks."""

__all__: list[str] = []
