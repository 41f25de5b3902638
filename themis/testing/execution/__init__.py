"""The promises of an executor, a file for each noun."""
