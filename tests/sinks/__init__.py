"""The sink and the relay."""
