"""Annealed importance sampling of log p(x) by Hamiltonian Monte Carlo."""
