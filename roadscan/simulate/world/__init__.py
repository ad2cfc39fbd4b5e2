"""What is there: the road, its assets and what changes from night to night, what stands and drives beside them, light.

road ─► assets (of asset_meshes, structures), scenery (trees) ─► scene: one night as flat arrays, by chainage
        traffic (vehicles), conditions, drive ─────────────────► what moves through it
All shapes are `mesh.Mesh`, their pictures `faces.Texture`.
"""
