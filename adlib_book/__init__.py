"""The machinery beside `adlib`: runs chapters, keeps nights, builds pages, holds the ledger; the command line."""
