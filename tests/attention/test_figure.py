import numpy as np

from sagan_tf.attention.figure import COLOURS, attention_figure


def test_an_image_with_its_points_then_an_overlay_for_each():
    images = np.full((2, 16, 16, 1), 100, np.uint8)
    points = np.array([[(2, 3), (12, 12)], [(8, 0), (0, 15)]])
    maps = np.zeros((2, 2, 4, 4), np.float32)
    maps[:, :, 2, 1] = 1
    figure = attention_figure(images, points, maps)
    assert figure.shape == (2 * 129 - 1, 3 * 129 - 1, 3)
    for row in range(2):
        for number, (down, right) in enumerate(points[row]):
            for column in (0, 1 + number):  # in the image and in its own overlay
                place = (row * 129 + 8 * down + 4, column * 129 + 8 * right + 4)
                assert tuple(figure[place]) == COLOURS[number]
            seen = figure[row * 129 + 80, (1 + number) * 129 + 48]
            assert seen[2] < 40  # yellow has no blue
            assert seen[0] > 200
    assert tuple(figure[80, 48]) == (100, 100, 100)  # nothing is laid over the image itself
    assert tuple(figure[10, 129 + 120]) == (100, 100, 100)  # nor where nothing is attended to
