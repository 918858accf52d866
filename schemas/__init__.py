"""The contracts between stages; no clients."""
