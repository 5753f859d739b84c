"""What tests share: small data that they make, and tools."""
