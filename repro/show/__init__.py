"""What tables, figures and the report share. No torch."""
