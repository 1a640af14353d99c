"""The settings: one TOML file, variables and flags, each checked once."""
