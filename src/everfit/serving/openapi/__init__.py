"""OpenAPI document of the deployed models."""
