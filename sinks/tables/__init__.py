"""One entity a file: its staging columns and its upsert."""
