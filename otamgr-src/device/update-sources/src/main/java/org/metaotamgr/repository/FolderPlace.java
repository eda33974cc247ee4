// SPDX-License-Identifier: MIT
package org.metaotamgr.repository;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.metaotamgr.agent.Original;
import org.metaotamgr.agent.PullProgress;
import org.metaotamgr.agent.SourceContext;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.SourceException.Reason;
import org.metaotamgr.agent.Target;
import org.metaotamgr.bundle.FileCopy;
import org.metaotamgr.bundle.FileOriginal;
import org.metaotamgr.http.BundleProof;
import org.metaotamgr.http.Hasher;
import org.metaotamgr.tuf.Transport;

/**
 * A repository in a folder, or in a folder right below it, where sticks are mounted: what {@code ota-repository export} writes. It is
 * copied to the device and verified there before it is installed, so a stick may be pulled out, or lie, at any time.
 *
 * @param directories where it may be
 * @param hasher hashes files
 * @param context what the device offers
 */
record FolderPlace(List<Path> directories, Hasher hasher, SourceContext context) implements Place {
    private static final String TIMESTAMP = "metadata/timestamp.json";
    private static final String PART = "update.part";
    private static final String FILE = "update.bundle";
    private static final int MAX_FOLDERS = 1000;

    FolderPlace {
        directories = List.copyOf(directories);
    }

    @Override
    public boolean isRemote() {
        return false;
    }

    @Override
    public Transport metadata() throws SourceException {
        return new FolderTransport(repositories().stream()
                .findFirst()
                .orElseThrow(() -> new SourceException(
                        Reason.NO_CONTENT,
                        "expected a repository (" + TIMESTAMP + ") in one of " + directories + ", found none"))
                .resolve("metadata"));
    }

    private List<Path> repositories() {
        List<Path> found = new ArrayList<>();
        for (Path directory : directories) {
            List<Path> places = new ArrayList<>(List.of(directory));
            try (DirectoryStream<Path> below = Files.newDirectoryStream(directory)) {
                for (Path place : below) {
                    if (places.size() < MAX_FOLDERS && Files.isDirectory(place, LinkOption.NOFOLLOW_LINKS)) {
                        places.add(place);
                    }
                }
            } catch (IOException e) {
                // No stick is plugged in.
                continue;
            }
            places.stream()
                    .sorted()
                    .filter(place -> Files.isRegularFile(place.resolve(TIMESTAMP)))
                    .forEach(found::add);
        }
        return found;
    }

    @Override
    public Path whole(Target target, String file, Path storage, PullProgress progress)
            throws SourceException, InterruptedException {
        Path part = storage.resolve(PART);
        Path pulled = storage.resolve(FILE);
        try {
            if (Files.exists(pulled)) {
                // A power cut came right after the rename. What the storage made of it is judged below.
                context.files().rename(pulled, part);
            }
            FileCopy.judged(
                    find(target, file),
                    part,
                    target.bytes(),
                    progress,
                    copy -> problemOf(target, copy),
                    problem -> context.log()
                            .info("repository_again:file=" + target.name() + ",reason=" + problem.getMessage()));
            context.files().rename(part, pulled);
            context.files().syncFolder(storage);
            return pulled;
        } catch (IOException e) {
            throw new SourceException(Reason.DOWNLOAD_FAILED, "copying " + target.name() + " to " + storage + ": " + e);
        }
    }

    @Override
    public long there(Path storage) {
        return Math.max(
                storage.resolve(PART).toFile().length(),
                storage.resolve(FILE).toFile().length());
    }

    @Override
    public Original original(Target target, String file) throws SourceException {
        Optional<Path> whole = found(file);
        Optional<Path> parts = whole.isPresent() ? Optional.empty() : found(file + PartsOriginal.SUFFIX);
        return parts.isPresent()
                ? PartsOriginal.open(parts.get(), target.bytes())
                : new FileOriginal(whole.orElseThrow(() -> nowhere(target)));
    }

    private Path find(Target target, String file) throws SourceException {
        Optional<Path> whole = found(file);
        Optional<Path> parts = whole.isPresent() ? Optional.empty() : found(file + PartsOriginal.SUFFIX);
        if (parts.isPresent()) {
            throw new SourceException(
                    Reason.DOWNLOAD_FAILED,
                    target.name() + ": this device needs the whole bundle, found only what devices on version "
                            + PartsOriginal.open(parts.get(), target.bytes()).since()
                            + " lack; use a medium that was exported without --since");
        }
        return whole.orElseThrow(() -> nowhere(target));
    }

    private Optional<Path> found(String file) throws SourceException {
        String below = PathSegments.checked(file);
        return repositories().stream()
                .map(place -> place.resolve("targets").resolve(below))
                .filter(Files::isRegularFile)
                .findFirst();
    }

    private SourceException nowhere(Target target) {
        return new SourceException(
                Reason.DOWNLOAD_FAILED,
                "expected " + target.name() + " in one of " + directories
                        + ", found it nowhere; plug the medium in again");
    }

    private Optional<SourceException> problemOf(Target target, Path copy) throws IOException, InterruptedException {
        try {
            String found = hasher.sha256(copy);
            if (!found.equals(target.id())) {
                return Optional.of(new SourceException(
                        Reason.VERIFICATION_FAILED,
                        target.name() + ": expected the SHA-256 " + target.id() + ", found " + found));
            }
            BundleProof.check(copy, target, context.verifier(), false);
            return Optional.empty();
        } catch (SourceException e) {
            return Optional.of(e);
        }
    }
}
