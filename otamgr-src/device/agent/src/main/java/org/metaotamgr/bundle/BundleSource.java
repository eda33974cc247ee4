// SPDX-License-Identifier: MIT
package org.metaotamgr.bundle;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import org.metaotamgr.agent.CheckResult;
import org.metaotamgr.agent.InstalledSystem;
import org.metaotamgr.agent.Manifest;
import org.metaotamgr.agent.Original;
import org.metaotamgr.agent.PullProgress;
import org.metaotamgr.agent.SourceContext;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.SourceException.Reason;
import org.metaotamgr.agent.Target;
import org.metaotamgr.agent.UpdateSource;
import org.metaotamgr.agent.Version;
import org.metaotamgr.device.Printable;

/**
 * Offers the signed bundles that lie in some folders, and in the folders right below them, where USB sticks are mounted.
 * A bundle is recognised by its content. Its signature is checked before it is offered, so that nothing else of a bundle
 * from elsewhere is looked at; it is copied to the device and verified there before it is installed, so that a stick may be
 * pulled out, or lie, at any time.
 */
final class BundleSource implements UpdateSource {
    static final String NAME = "bundle";
    private static final String FILE_NAME = "update.bundle";
    private static final String PART_NAME = "update.part";
    /** More files than anybody puts on a stick for a device. */
    private static final int MAX_FILES = 1000;

    private final List<Path> directories;
    private final SourceContext context;

    BundleSource(List<Path> directories, SourceContext context) {
        this.directories = List.copyOf(directories);
        this.context = context;
    }

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public boolean isRemote() {
        return false;
    }

    @Override
    public CheckResult check(InstalledSystem installed) throws SourceException, InterruptedException {
        List<Target> targets = new ArrayList<>();
        Optional<SourceException> refusal = Optional.empty();
        for (Path file : candidates()) {
            try {
                targets.add(examine(file));
            } catch (SourceException e) {
                context.log()
                        .warning("bundle_refused:file=" + Printable.of(file.toString()) + ",reason=" + e.getMessage());
                refusal = Optional.of(e);
            }
        }
        if (!targets.isEmpty()) {
            return new CheckResult.Offers(targets, Optional.empty());
        }
        if (refusal.isPresent()) {
            throw refusal.get();
        }
        throw new SourceException(Reason.NO_CONTENT, "expected a bundle in one of " + directories + ", found none");
    }

    /** The files that look like bundles, in the order of their names. */
    private List<Path> candidates() {
        TreeSet<Path> files = new TreeSet<>();
        for (Path directory : directories) {
            for (Path entry : entries(directory)) {
                if (Files.isDirectory(entry)) {
                    files.addAll(entries(entry));
                } else {
                    files.add(entry);
                }
            }
        }
        List<Path> bundles = new ArrayList<>();
        for (Path file : files) {
            try {
                if (bundles.size() < MAX_FILES && BundleFile.isBundle(file)) {
                    bundles.add(file);
                }
            } catch (IOException e) {
                unreadable(file, e);
            }
        }
        return bundles;
    }

    private List<Path> entries(Path directory) {
        List<Path> entries = new ArrayList<>();
        try (DirectoryStream<Path> stream = Files.newDirectoryStream(directory)) {
            for (Path entry : stream) {
                if (entries.size() < MAX_FILES && !Files.isSymbolicLink(entry)) {
                    entries.add(entry);
                }
            }
        } catch (NoSuchFileException | NotDirectoryException e) {
            // No stick is plugged in.
            return List.of();
        } catch (IOException e) {
            unreadable(directory, e);
        }
        return entries;
    }

    private void unreadable(Path file, IOException problem) {
        context.log()
                .warning("bundle_unreadable:file=" + Printable.of(file.toString()) + ",error="
                        + Printable.of(problem.toString()));
    }

    /** The target that a file holds, if it is signed by a key of this device. */
    private Target examine(Path file) throws SourceException, InterruptedException {
        Manifest manifest = context.verifier().verifyBundle(file);
        BundleFile bundle;
        try {
            bundle = BundleFile.open(file);
        } catch (IOException e) {
            throw new SourceException(Reason.BAD_BUNDLE, file + ": " + e.getMessage());
        }
        String version = required(manifest, "version", file);
        if (!Version.isVersion(version)) {
            throw new SourceException(Reason.BAD_BUNDLE, file + ": " + Version.problem(version));
        }
        String compatible = required(manifest, "compatible", file);
        try {
            return new Target(
                    Target.nameOf(Optional.of(compatible), version),
                    version,
                    Optional.of(compatible),
                    bundle.length(),
                    bundle.id(),
                    Optional.empty(),
                    Map.of("file", file.toString()));
        } catch (IllegalArgumentException e) {
            throw new SourceException(Reason.BAD_BUNDLE, file + ": " + e.getMessage());
        }
    }

    private static String required(Manifest manifest, String key, Path file) throws SourceException {
        return manifest.value(key)
                .orElseThrow(() -> new SourceException(
                        Reason.BAD_BUNDLE, file + ": expected " + key + "= in the manifest, found nothing"));
    }

    @Override
    public boolean looksForRoom() {
        return true;
    }

    @Override
    public Optional<Path> beginning(Target target, Path storage, PullProgress progress)
            throws SourceException, InterruptedException {
        return parts(target, storage, progress).bringBeginning(Optional.of(target.id()));
    }

    @Override
    public Original original(Target target) throws SourceException {
        return new FileOriginal(find(target));
    }

    private PullInParts parts(Target target, Path storage, PullProgress progress) throws SourceException {
        return new PullInParts(target, storage, original(target), this::proveBeginning, context, progress);
    }

    @Override
    public Path pull(Target target, Path storage, PullProgress progress) throws SourceException, InterruptedException {
        Optional<Path> parts = parts(target, storage, progress).bring(Optional.of(target.id()));
        return parts.isPresent() ? parts.get() : whole(target, storage, progress);
    }

    private void proveBeginning(Path part) throws SourceException, InterruptedException {
        try {
            Optional<String> problem =
                    BundleImage.problemBeforeImage(part, context.verifier().verifyBundle(part));
            if (problem.isPresent()) {
                throw new SourceException(Reason.DAMAGED, part + ": " + problem.get());
            }
        } catch (IOException e) {
            throw new SourceException(Reason.BAD_BUNDLE, part + ": " + e.getMessage());
        }
    }

    private Path whole(Target target, Path storage, PullProgress progress)
            throws SourceException, InterruptedException {
        Path part = storage.resolve(PART_NAME);
        Path file = storage.resolve(FILE_NAME);
        try {
            boolean resumed = Files.exists(part, LinkOption.NOFOLLOW_LINKS);
            if (resumed) {
                context.log().info("bundle_resumed:target=" + target.name() + ",bytes=" + Files.size(part));
            }
            Path from = find(target);
            FileCopy.judged(
                    from,
                    part,
                    target.bytes(),
                    progress,
                    copy -> problemOf(target, copy)
                            .map(problem -> new SourceException(Reason.VERIFICATION_FAILED, from + ": " + problem)),
                    problem -> context.log().info("bundle_again:reason=" + Printable.of(problem.getMessage())));
            context.files().rename(part, file);
            context.files().syncFolder(storage);
            return file;
        } catch (IOException e) {
            throw new SourceException(Reason.DOWNLOAD_FAILED, "copying " + target.name() + " to " + storage + ": " + e);
        }
    }

    @Override
    public long there(Target target, Path storage) {
        try {
            return Files.size(storage.resolve(PART_NAME));
        } catch (IOException e) {
            return 0;
        }
    }

    /** The file with a target, wherever the stick is mounted now. */
    private Path find(Target target) throws SourceException {
        List<Path> places = new ArrayList<>();
        String known = target.details().get("file");
        if (known != null) {
            places.add(Path.of(known));
        }
        places.addAll(candidates());
        for (Path place : places) {
            try {
                if (BundleFile.isBundle(place) && BundleFile.open(place).id().equals(target.id())) {
                    return place;
                }
            } catch (IOException e) {
                // Not the one, or not any more; another place may have it.
                continue;
            }
        }
        throw new SourceException(
                Reason.DOWNLOAD_FAILED,
                "expected " + target.name() + " in one of " + directories
                        + ", found it nowhere; plug the medium in again");
    }

    /** What is wrong with a copy, if anything. */
    private Optional<String> problemOf(Target target, Path copy) throws InterruptedException {
        try {
            if (!BundleFile.open(copy).id().equals(target.id())) {
                return Optional.of("expected the manifest that was offered, found another one");
            }
            return BundleImage.problem(copy, context.verifier().verifyBundle(copy));
        } catch (IOException | SourceException e) {
            return Optional.of(Printable.of(String.valueOf(e.getMessage())));
        }
    }
}
