"""The reference motions that ship, one `<skill>.npz` each, with their provenance inside."""
