"""Deliveries, lane by lane: claiming them, recording outcomes, and the lanes' own rows."""
