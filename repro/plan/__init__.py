"""What is to be run: Runs, grids, experiments, profiles and their cost. No torch."""
