"""A replication of "Ladder Variational Autoencoders" (Sønderby et al., 2016)."""

__version__ = "0.1.0"
