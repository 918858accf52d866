"""The local stack and the demo."""
