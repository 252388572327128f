"""A z-buffer: which triangle is nearest at each sample."""

import numpy as np

from personsearch.boxes import Array
from personsearch.synthetic.kernels.jit import compiled


@compiled
def rasterize(screen: Array, triangles: Array, depth: Array, nearest: Array) -> None:
    """Draw triangles into two buffers, in place; both sides of a triangle are seen.

    A sample belongs to a triangle if its centre (column + .5, row + .5) lies inside or on an edge.

    Args:
        screen: (V, 3) x and y in samples, and a depth key that is linear over the screen (smaller is nearer).
        triangles: (T, 3) int64.
        depth: (H, W) float32, the key of the nearest surface so far.
        nearest: (H, W) int32, the triangle drawn there.
    """
    height, width = depth.shape
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, bx, by, cx, cy = screen[a, 0], screen[a, 1], screen[b, 0], screen[b, 1], screen[c, 0], screen[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0.0:
            continue
        share = 1.0 / area
        left, right = max(0, int(np.ceil(min(ax, bx, cx) - 0.5))), min(width - 1, int(np.floor(max(ax, bx, cx) - 0.5)))
        top, bottom = max(0, int(np.ceil(min(ay, by, cy) - 0.5))), min(height - 1, int(np.floor(max(ay, by, cy) - 0.5)))
        for row in range(top, bottom + 1):
            y = row + 0.5
            for column in range(left, right + 1):
                x = column + 0.5
                wa = ((bx - x) * (cy - y) - (by - y) * (cx - x)) * share
                wb = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) * share
                wc = 1.0 - wa - wb
                if wa < 0.0 or wb < 0.0 or wc < 0.0:
                    continue
                key = wa * screen[a, 2] + wb * screen[b, 2] + wc * screen[c, 2]
                if key < depth[row, column]:
                    depth[row, column] = key
                    nearest[row, column] = t


@compiled
def vertex_normals(vertices: Array, triangles: Array) -> Array:
    """(V, 3) unit normals: the mean of the triangles around a vertex, large ones more; zero where there is none."""
    normals = np.zeros(vertices.shape)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in (a, b, c):
            normals[corner, 0] += nx
            normals[corner, 1] += ny
            normals[corner, 2] += nz
    for v in range(vertices.shape[0]):
        length = np.sqrt(normals[v, 0] ** 2 + normals[v, 1] ** 2 + normals[v, 2] ** 2)
        if length > 0.0:
            for axis in range(3):
                normals[v, axis] /= length
    return normals
