"""What several figures draw alike, one module a kind of panel. No torch."""
