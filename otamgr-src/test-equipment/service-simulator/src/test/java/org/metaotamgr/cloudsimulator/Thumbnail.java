// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import javax.imageio.ImageIO;

/**
 * A picture whose points are means of {@value #CELL} by {@value #CELL} points of a larger one: what is where and in which colour, without how a release
 * of a browser smooths its letters.
 */
final class Thumbnail {

    static final int CELL = 8;
    /** Of 255, in one colour: more is another thing there. A letter that is one point further is less. */
    private static final int TOLERANCE = 40;

    private final BufferedImage picture;

    private Thumbnail(BufferedImage picture) {
        this.picture = picture;
    }

    static Thumbnail of(Path screenshot) throws IOException {
        BufferedImage large = ImageIO.read(screenshot.toFile());
        BufferedImage small = new BufferedImage(
                (large.getWidth() + CELL - 1) / CELL,
                (large.getHeight() + CELL - 1) / CELL,
                BufferedImage.TYPE_INT_RGB);
        for (int y = 0; y < small.getHeight(); y++) {
            for (int x = 0; x < small.getWidth(); x++) {
                small.setRGB(x, y, mean(large, x * CELL, y * CELL));
            }
        }
        return new Thumbnail(small);
    }

    static Thumbnail read(Path file) throws IOException {
        return new Thumbnail(ImageIO.read(file.toFile()));
    }

    void write(Path file) throws IOException {
        Files.createDirectories(file.toAbsolutePath().getParent());
        ImageIO.write(picture, "png", file.toFile());
    }

    private static int mean(BufferedImage large, int left, int top) {
        int right = Math.min(left + CELL, large.getWidth());
        int bottom = Math.min(top + CELL, large.getHeight());
        int[] sums = new int[3];
        for (int y = top; y < bottom; y++) {
            for (int x = left; x < right; x++) {
                for (int colour = 0; colour < 3; colour++) {
                    sums[colour] += large.getRGB(x, y) >> 8 * colour & 0xff;
                }
            }
        }
        int count = (right - left) * (bottom - top);
        return sums[2] / count << 16 | sums[1] / count << 8 | sums[0] / count;
    }

    /** How many of a thousand points are others than in the reference; all of them where the sizes differ. */
    int differences(Thumbnail reference) {
        int width = picture.getWidth();
        int height = picture.getHeight();
        if (reference.picture.getWidth() != width || reference.picture.getHeight() != height) {
            return 1000;
        }
        int others = 0;
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                int here = picture.getRGB(x, y);
                int there = reference.picture.getRGB(x, y);
                boolean other = false;
                for (int colour = 0; colour < 3; colour++) {
                    other |= Math.abs((here >> 8 * colour & 0xff) - (there >> 8 * colour & 0xff)) > TOLERANCE;
                }
                if (other) {
                    others++;
                }
            }
        }
        int all = width * height;
        return (others * 1000 + all - 1) / all;
    }
}
