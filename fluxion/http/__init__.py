"""HTTP for every process that answers it: one table of routes, errors as problems, tokens, limits. Import the modules, not this."""
