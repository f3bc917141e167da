"""Requirements of the standards, and which tests show that they are met: `make requirements`."""
