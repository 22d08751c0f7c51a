"""The studies: each measures something, keeps it as JSON, and makes a page of it."""
