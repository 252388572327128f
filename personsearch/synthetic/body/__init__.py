"""MakeHuman's body: file formats, skeleton, poses, and the shapes it can take."""
