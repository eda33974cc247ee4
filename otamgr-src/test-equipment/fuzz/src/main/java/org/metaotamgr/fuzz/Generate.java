// SPDX-License-Identifier: MIT
package org.metaotamgr.fuzz;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;

/**
 * Makes inputs from a corpus and tries them, without looking at what they reach: less clever than Jazzer, some ten to a hundred times as
 * fast, and possible everywhere.
 */
public final class Generate {
    private static final int MAX_LENGTH = 4096;
    private static final int BETWEEN_LOOKS = 256;

    private Generate() {}

    /**
     * Tries a target.
     *
     * @param arguments the target, folders with inputs to begin with (separated by commas), seconds, a seed, and where to write an
     *     input that is found
     * @throws IOException if a folder cannot be read
     */
    public static void main(String[] arguments) throws IOException {
        Consumer<byte[]> target = Targets.all().get(arguments[0]);
        List<byte[]> corpus = new ArrayList<>();
        for (String folder : arguments[1].split(",")) {
            try (var files = Files.list(Path.of(folder))) {
                for (Path file : files.sorted().toList()) {
                    corpus.add(Files.readAllBytes(file));
                }
            }
        }
        Random random = new Random(Long.parseLong(arguments[3]));
        long end = System.nanoTime() + Long.parseLong(arguments[2]) * 1_000_000_000L;
        long executions = 0;
        while (System.nanoTime() < end) {
            for (int i = 0; i < BETWEEN_LOOKS; i++) {
                byte[] input = changed(
                        corpus.get(random.nextInt(corpus.size())), corpus.get(random.nextInt(corpus.size())), random);
                try {
                    target.accept(input);
                } catch (RuntimeException | StackOverflowError | OutOfMemoryError e) {
                    Files.write(Path.of(arguments[4]), input);
                    System.out.println("stat::number_of_executed_units: " + executions);
                    e.printStackTrace(System.out);
                    System.exit(1);
                }
                executions++;
            }
        }
        System.out.println("stat::number_of_executed_units: " + executions);
    }

    static byte[] changed(byte[] one, byte[] other, Random random) {
        byte[] bytes = one.clone();
        for (int changes = 1 + random.nextInt(6); changes > 0; changes--) {
            int at = bytes.length == 0 ? 0 : random.nextInt(bytes.length);
            switch (random.nextInt(5)) {
                case 0 -> {
                    if (bytes.length > 0) {
                        bytes[at] ^= (byte) (1 << random.nextInt(8));
                    }
                }
                case 1 -> {
                    if (bytes.length > 0) {
                        bytes[at] = (byte) random.nextInt(256);
                    }
                }
                case 2 -> bytes = joined(
                        Arrays.copyOf(bytes, at),
                        other.length == 0
                                ? other
                                : Arrays.copyOfRange(other, random.nextInt(other.length), other.length));
                case 3 -> bytes = joined(
                        Arrays.copyOf(bytes, at),
                        Arrays.copyOfRange(bytes, Math.min(bytes.length, at + random.nextInt(8)), bytes.length));
                default -> {
                    byte[] piece = Arrays.copyOfRange(bytes, at, Math.min(bytes.length, at + random.nextInt(40)));
                    for (int times = random.nextInt(8); times > 0; times--) {
                        bytes = joined(
                                joined(Arrays.copyOf(bytes, at), piece), Arrays.copyOfRange(bytes, at, bytes.length));
                    }
                }
            }
            bytes = bytes.length > MAX_LENGTH ? Arrays.copyOf(bytes, MAX_LENGTH) : bytes;
        }
        return bytes;
    }

    private static byte[] joined(byte[] one, byte[] other) {
        byte[] both = Arrays.copyOf(one, one.length + other.length);
        System.arraycopy(other, 0, both, one.length, other.length);
        return both;
    }
}
