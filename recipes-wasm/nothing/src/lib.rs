//! Exports nothing: neither a recipe nor a health check.
