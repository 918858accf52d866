"""The whole way of the data with real processes."""
