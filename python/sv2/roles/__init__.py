"""The roles of Stratum V2, one package each."""
