"""Programs: patterns around the chosen intensity, one TOML file each."""
