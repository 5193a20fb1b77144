"""The ledger of long runs: its records, the sweeps that fill it, and what is read out of it."""
