"""What surrounds people: scenery, camera, light and lens."""
