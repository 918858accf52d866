"""One step a file, named for its verb; pure functions over frozen structs."""
