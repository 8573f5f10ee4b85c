"""Where steps run: eager or compiled; one process here."""
