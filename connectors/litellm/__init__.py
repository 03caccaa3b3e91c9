"""Language models through litellm."""
