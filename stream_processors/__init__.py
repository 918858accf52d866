"""Raw change sets to canonical sets, in Faust."""
