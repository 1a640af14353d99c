"""A simulated device: a product for trying, testing and developing without hardware."""
