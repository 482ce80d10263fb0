"""For authors of backends and operators: what proves that a device or an op is right."""
