"""Contracts of the provable-contracts kind: read whatever they hold, and written as contracts of ours."""
