"""A person: appearance, clothes, materials, and the mesh that they make."""
