"""Capture: sources, the journal and the shipper."""
