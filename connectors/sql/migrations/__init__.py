"""The ledger's migrations, forwards only."""
