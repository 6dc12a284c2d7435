"""From overrides to a checked configuration and to built parts. Nothing is trained here."""
