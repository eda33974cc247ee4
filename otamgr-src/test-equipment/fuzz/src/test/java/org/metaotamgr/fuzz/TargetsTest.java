// SPDX-License-Identifier: MIT
package org.metaotamgr.fuzz;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.TreeSet;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The corpora, everything that was ever found, and inputs made of them, with the same result on every machine. */
class TargetsTest {
    private static final Path CORPUS = Path.of("corpus");
    private static final int GENERATED = 1000;

    static List<String> names() {
        return List.copyOf(Targets.all().keySet());
    }

    private static List<byte[]> corpus(String target) throws IOException {
        List<byte[]> inputs = new ArrayList<>();
        try (var files = Files.list(CORPUS.resolve(target))) {
            for (Path file : files.sorted().toList()) {
                inputs.add(Files.readAllBytes(file));
            }
        }
        return inputs;
    }

    @Test
    void everyTargetHasACorpusAndTheScriptKnowsIt() throws IOException {
        try (var folders = Files.list(CORPUS)) {
            assertEquals(
                    new TreeSet<>(names()),
                    new TreeSet<>(folders.map(folder -> folder.getFileName().toString())
                            .toList()));
        }
    }

    @ParameterizedTest
    @MethodSource("names")
    void whatIsInTheCorpusAndWhatIsMadeOfItHolds(String name) throws Exception {
        Consumer<byte[]> target = Targets.all().get(name);
        List<byte[]> corpus = corpus(name);
        assertFalse(corpus.isEmpty());
        Random random = new Random(name.hashCode());
        List<byte[]> inputs = new ArrayList<>(corpus);
        for (int i = 0; i < GENERATED; i++) {
            inputs.add(Generate.changed(
                    corpus.get(random.nextInt(corpus.size())), corpus.get(random.nextInt(corpus.size())), random));
        }
        for (byte[] input : inputs) {
            try {
                assertTimeoutPreemptively(Duration.ofSeconds(20), () -> target.accept(input));
            } catch (RuntimeException | AssertionError e) {
                throw new AssertionError(name + " with " + HexFormat.of().formatHex(input), e);
            }
        }
    }
}
