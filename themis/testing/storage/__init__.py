"""The promises of a store, a file for each noun."""
