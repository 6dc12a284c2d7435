"""The rim: command line, Hydra, building, processes."""
