"""The conformance kit: proves that a backend keeps the contract, layer by layer; see `engine.conformance`."""
