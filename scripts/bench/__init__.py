"""Speed and memory, measured; docs/log.md has what came out."""
