"""Pictures of people that never were: rendered from MakeHuman meshes, with exact boxes, identities and visibility.

`scene.generate_scene` renders one scene in memory, `crops.render_person_crops` crops for re-identification,
`dataset.generate_dataset` a folder of JPEG with one COCO-style JSON. The extra `synthetic` (numba) is needed.
"""
